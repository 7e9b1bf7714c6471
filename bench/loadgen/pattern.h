/*
 * pattern.h - bytes to send and to recognise. An endless sequence without short repetitions: what comes back at
 * position p of a connection is checked without having been kept.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* A prime: a slip by any power of two shows at once. */
#define PATTERN_PERIOD    65521
#define PATTERN_PIECE_MAX 65536

struct pattern {
    /* Doubled, so that a piece never wraps. No byte is a 'W', which may begin a question ("WHO"). */
    char bytes[PATTERN_PERIOD + PATTERN_PIECE_MAX];
};

void pattern_init(struct pattern *pattern, uint64_t seed);

/* The next PATTERN_PIECE_MAX bytes from `position` on, for a connection that starts at `offset`. */
const char *pattern_at(const struct pattern *pattern, uint32_t offset, uint64_t position);

/* Whether `size` bytes at `position` are the pattern's. */
bool pattern_matches(const struct pattern *pattern, uint32_t offset, uint64_t position,
                     const char *data, size_t size);

/* A small generator of pseudo-random numbers (xorshift64*); *state is not 0. */
uint64_t random_next(uint64_t *state);
