/*
 * Of every kind there is one right password; so once somebody gave it, its keyed hash decides alone, and a plain one is known from the start. Where a
 * hash ignores what comes late (bcrypt), that is cut off before, or else there would be more than one.
 */
#include "gateway/password.h"

#include "base/strv.h"
#include "gateway/keyed-hash.h"

#include <crypt.h>
#include <errno.h>
#include <nettle/base16.h>
#include <nettle/base64.h>
#include <nettle/memops.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <string.h>

enum password_kind { PASSWORD_PLAIN, PASSWORD_DIGEST, PASSWORD_CRYPT };

#define DIGEST_SIZE_MAX 32u
#define SALT_SIZE_MAX   64u

struct digest_kind {
    const char *prefix;
    unsigned size;
    bool salted;
};

static const struct digest_kind digest_kinds[] = {
    {"{SHA}", SHA1_DIGEST_SIZE, false},
    {"{SSHA}", SHA1_DIGEST_SIZE, true},
    {"{SHA256}", SHA256_DIGEST_SIZE, false},
    {"{SSHA256}", SHA256_DIGEST_SIZE, true},
};

/* `tail`: characters behind the last `$`; others are not a whole hash. `counts`: bytes of a password that matter; 0: all. */
struct crypt_kind {
    const char *prefix;
    size_t tail, counts;
};

static const struct crypt_kind crypt_kinds[] = {
    {"$y$", 43, 0},   {"$gy$", 43, 0},  {"$7$", 43, 0},   {"$6$", 86, 0},    {"$5$", 43, 0},
    {"$2a$", 53, 72}, {"$2b$", 53, 72}, {"$2y$", 53, 72}, {"$sha1$", 28, 0}, {"$1$", 22, 0},
};

struct password {
    enum password_kind kind;
    char *text; /* of PASSWORD_CRYPT */
    size_t counts;
    const struct digest_kind *digest;
    uint8_t expected[DIGEST_SIZE_MAX], salt[SALT_SIZE_MAX];
    size_t n_salt;

    struct keyed_hash_key key;
    bool is_known;
    struct keyed_hash known;
};

static void forget_text(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
}

struct password *password_free(struct password *password)
{
    if (!password)
        return NULL;
    forget_text(&password->text);
    explicit_bzero(password, sizeof(*password));
    free(password);
    return NULL;
}

static void remember(struct password *password, const struct keyed_hash *hash)
{
    password->known = *hash;
    password->is_known = true;
}

/* Reading what is configured */

static int read_base64(const char *text, uint8_t *bytes, size_t size, size_t *ret_n)
{
    struct base64_decode_ctx context;
    size_t length = strlen(text), n = size;
    base64_decode_init(&context);
    if (BASE64_DECODE_LENGTH(length) > size || strpbrk(text, " \t\r\n\v\f") ||
        !base64_decode_update(&context, &n, bytes, length, text) || !base64_decode_final(&context))
        return -EINVAL;
    *ret_n = n;
    return 0;
}

static int read_hex(const char *text, uint8_t *bytes, size_t size, size_t *ret_n)
{
    struct base16_decode_ctx context;
    size_t length = strlen(text), n = size;
    base16_decode_init(&context);
    if (BASE16_DECODE_LENGTH(length) > size || strpbrk(text, " \t\r\n\v\f") ||
        !base16_decode_update(&context, &n, bytes, length, text) || !base16_decode_final(&context))
        return -EINVAL;
    *ret_n = n;
    return 0;
}

static int read_digest(struct password *password, const char *text, const char **ret_reason)
{
    uint8_t bytes[DIGEST_SIZE_MAX + SALT_SIZE_MAX + 3]; /* base64 is reckoned in threes */
    const struct digest_kind *kind = password->digest;
    size_t n = 0, length = strlen(text);
    int r = !kind->salted && length == (size_t)kind->size * 2
                ? read_hex(text, bytes, sizeof(bytes), &n)
                : read_base64(text, bytes, sizeof(bytes), &n);
    if (r < 0 || n < kind->size || (n > kind->size) != kind->salted ||
        n - kind->size > sizeof(password->salt)) {
        *ret_reason = "what follows {SHA} and the like must be a hash of that kind in base64, "
                      "as `htpasswd -s` prints it";
        return -EINVAL;
    }
    memcpy(password->expected, bytes, kind->size);
    password->n_salt = n - kind->size;
    memcpy(password->salt, bytes + kind->size, password->n_salt);
    return 0;
}

static int read_braces(struct password *password, const char *text, const char **ret_reason)
{
    password->kind = PASSWORD_DIGEST;
    for (size_t i = 0; i < ARRAY_SIZE(digest_kinds); i++) {
        const char *prefix = digest_kinds[i].prefix;
        if (strncasecmp(text, prefix, strlen(prefix)) == 0) {
            password->digest = &digest_kinds[i];
            return read_digest(password, text + strlen(prefix), ret_reason);
        }
    }
    *ret_reason = "it begins with `{` as a hash does, but of no kind that is known: {SHA}, {SSHA}, "
                  "{SHA256}, {SSHA256}";
    return -EINVAL;
}

static int read_crypt(struct password *password, const char *text, const char **ret_reason)
{
    password->kind = PASSWORD_CRYPT;
    for (size_t i = 0; i < ARRAY_SIZE(crypt_kinds); i++) {
        const struct crypt_kind *kind = &crypt_kinds[i];
        if (!string_starts_with(text, kind->prefix))
            continue;
        int salt = crypt_checksalt(text);
        if (salt == CRYPT_SALT_INVALID || salt == CRYPT_SALT_METHOD_DISABLED ||
            strlen(strrchr(text, '$') + 1) != kind->tail || strlen(text) >= CRYPT_OUTPUT_SIZE) {
            *ret_reason = "it begins as a hash of crypt(3) does, but is not a whole one; "
                          "`mkpasswd` makes them";
            return -EINVAL;
        }
        password->counts = kind->counts;
        password->text = strdup(text);
        return password->text ? 0 : -ENOMEM;
    }
    *ret_reason =
        "it begins with `$` as a hash does, but of no kind that crypt(3) knows: $y$, $6$, "
        "$5$, $2b$ …; `mkpasswd` makes them";
    return -EINVAL;
}

static int read_plain(struct password *password, const char *text)
{
    struct keyed_hash hash = keyed_hash(&password->key, text, strlen(text));
    password->kind = PASSWORD_PLAIN;
    remember(password, &hash);
    return 0;
}

static int read_text(struct password *password, const char *text, const char **ret_reason)
{
    switch (text[0]) {
    case '{':
        return read_braces(password, text, ret_reason);
    case '$':
        return read_crypt(password, text, ret_reason);
    default:
        return read_plain(password, text);
    }
}

/* Without the newline at its end, or a reason why it can be no password. */
static int take_line(const char *text, char **ret, const char **ret_reason)
{
    size_t n = strcspn(text, "\n"), rest = strlen(text + n);
    if (rest > 1) {
        *ret_reason = "it has more than one line";
        return -EINVAL;
    }
    if (rest == 1 && n > 0 && text[n - 1] == '\r')
        n--;
    if (n == 0) {
        *ret_reason = "it is empty";
        return -EINVAL;
    }
    if (n > PASSWORD_SIZE_MAX) {
        *ret_reason = "it is longer than 1024 bytes";
        return -EINVAL;
    }
    char *line = strndup(text, n);
    if (!line)
        return -ENOMEM;
    *ret = line;
    return 0;
}

int password_new(const char *text, struct password **ret, const char **ret_reason)
{
    CLEANUP(forget_text) char *line = NULL;
    int r = take_line(text, &line, ret_reason);
    if (r < 0)
        return r;
    CLEANUP(password_freep) struct password *password = calloc(1, sizeof(*password));
    if (!password)
        return -ENOMEM;
    r = keyed_hash_make_key(&password->key);
    if (r >= 0)
        r = read_text(password, line, ret_reason);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(password);
    return 0;
}

/* Comparing */

static void digest(const struct digest_kind *kind, const char *given, size_t size,
                   const struct password *password, uint8_t *ret)
{
    union {
        struct sha1_ctx sha1;
        struct sha256_ctx sha256;
    } context;
    if (kind->size == SHA1_DIGEST_SIZE) {
        sha1_init(&context.sha1);
        sha1_update(&context.sha1, size, (const uint8_t *)given);
        sha1_update(&context.sha1, password->n_salt, password->salt);
        sha1_digest(&context.sha1, kind->size, ret);
    } else {
        sha256_init(&context.sha256);
        sha256_update(&context.sha256, size, (const uint8_t *)given);
        sha256_update(&context.sha256, password->n_salt, password->salt);
        sha256_digest(&context.sha256, kind->size, ret);
    }
    explicit_bzero(&context, sizeof(context));
}

static bool is_digest_of(const struct password *password, const char *given, size_t size)
{
    uint8_t bytes[DIGEST_SIZE_MAX];
    digest(password->digest, given, size, password, bytes);
    return memeql_sec(bytes, password->expected, password->digest->size) != 0;
}

static bool is_crypt_of(const struct password *password, const char *given)
{
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (!data)
        return false;
    const char *hash = crypt_rn(given, password->text, data, sizeof(*data));
    size_t length = strlen(password->text);
    bool is = hash && strlen(hash) == length && memeql_sec(hash, password->text, length);
    explicit_bzero(data, sizeof(*data));
    free(data);
    return is;
}

bool password_is_costly(const struct password *password)
{
    return password->kind == PASSWORD_CRYPT && !password->is_known;
}

bool password_is(struct password *password, const char *given)
{
    size_t size = strlen(given);
    if (size > PASSWORD_SIZE_MAX)
        return false;
    if (password->counts && size > password->counts)
        size = password->counts;
    struct keyed_hash hash = keyed_hash(&password->key, given, size);
    if (password->is_known)
        return keyed_hash_equal(&hash, &password->known);
    bool is = password->kind == PASSWORD_DIGEST ? is_digest_of(password, given, size)
                                                : is_crypt_of(password, given);
    if (is)
        remember(password, &hash);
    return is;
}
