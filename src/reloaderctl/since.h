/* since.h - from where on events are asked for, as people write it. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct since {
    bool is_number;
    uint64_t sequence, start; /* is_number; start 0: no master was named */
    uint64_t time_usec;       /* else; of the real clock */
};

/* "812", "812@START", "5m" (ago), "2026-11-21T12:43:22[.5](Z|+01:00)". 0 or -EINVAL. */
int since_parse(const char *text, uint64_t now_usec, struct since *ret);
