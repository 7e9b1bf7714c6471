/*
 * Hashes come from nettle: small, without anything to set up, and loaded anyway, as libmicrohttpd brings gnutls, which is made of it.
 */
#include "gateway/keyed-hash.h"

#include <errno.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(KEYED_HASH_SIZE == SHA256_DIGEST_SIZE, "it is SHA-256");

int keyed_hash_make_key(struct keyed_hash_key *ret)
{
    struct keyed_hash_key key;
    ssize_t n;
    do
        n = getrandom(key.bytes, sizeof(key.bytes), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if ((size_t)n != sizeof(key.bytes))
        return -EIO;
    *ret = key;
    explicit_bzero(&key, sizeof(key));
    return 0;
}

struct keyed_hash keyed_hash(const struct keyed_hash_key *key, const void *data, size_t size)
{
    struct keyed_hash hash;
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, sizeof(key->bytes), key->bytes);
    hmac_sha256_update(&context, size, data);
    hmac_sha256_digest(&context, sizeof(hash.bytes), hash.bytes);
    explicit_bzero(&context, sizeof(context));
    return hash;
}

bool keyed_hash_equal(const struct keyed_hash *a, const struct keyed_hash *b)
{
    return memeql_sec(a->bytes, b->bytes, sizeof(a->bytes)) != 0;
}
