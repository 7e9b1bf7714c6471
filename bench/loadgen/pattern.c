#include "loadgen/pattern.h"

#include <string.h>

uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

void pattern_init(struct pattern *pattern, uint64_t seed)
{
    uint64_t state = seed | 1;
    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        char byte = (char)(random_next(&state) >> 56);
        pattern->bytes[i] = byte == 'W' ? 'w' : byte;
    }
    for (size_t i = PATTERN_PERIOD; i < sizeof(pattern->bytes); i++)
        pattern->bytes[i] = pattern->bytes[i - PATTERN_PERIOD];
}

const char *pattern_at(const struct pattern *pattern, uint32_t offset, uint64_t position)
{
    return pattern->bytes + (offset + position) % PATTERN_PERIOD;
}

bool pattern_matches(const struct pattern *pattern, uint32_t offset, uint64_t position,
                     const char *data, size_t size)
{
    while (size > 0) {
        size_t piece = MIN(size, (size_t)PATTERN_PIECE_MAX);
        if (memcmp(pattern_at(pattern, offset, position), data, piece) != 0)
            return false;
        data += piece;
        position += piece;
        size -= piece;
    }
    return true;
}
