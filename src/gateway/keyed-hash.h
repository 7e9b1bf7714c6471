/*
 * keyed-hash.h - texts that are secret, compared without telling by time where or how they differ.
 *
 * Both are hashed (HMAC-SHA-256) with a key that only this process knows, and the hashes compared as a whole: neither length nor common beginning of
 * what is expected shows, and what is kept for comparing is of no use to anybody else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYED_HASH_SIZE 32

struct keyed_hash_key {
    uint8_t bytes[KEYED_HASH_SIZE];
};
struct keyed_hash {
    uint8_t bytes[KEYED_HASH_SIZE];
};

/* A random one. 0 or -errno. */
int keyed_hash_make_key(struct keyed_hash_key *ret);
struct keyed_hash keyed_hash(const struct keyed_hash_key *key, const void *data, size_t size);
/* In constant time. */
bool keyed_hash_equal(const struct keyed_hash *a, const struct keyed_hash *b);
