/* clock.h - the two clocks. Deadlines use the monotonic one, people and logs the real one. */
#pragma once

#include "base/macros.h"

#include <time.h>

static inline uint64_t clock_usec(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC;
}

static inline uint64_t clock_monotonic_usec(void)
{
    return clock_usec(CLOCK_MONOTONIC);
}

static inline uint64_t clock_realtime_usec(void)
{
    return clock_usec(CLOCK_REALTIME);
}
