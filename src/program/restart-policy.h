/*
 * restart-policy.h - when a worker that left by itself is started again. Pure.
 *
 * A worker that had served for a while (been ready for longer than the longest backoff, max) is replaced at once and ends a row
 * of failures. Any other one continues it: the n-th in a row waits initial * factor^(n-1), at most max, and that is spread by
 * ±jitter so that slots do not march in step. A row also ends when the generation changes (the shell then zeroes the history).
 * One that dies 1.5 s after it was ready, again and again, so waits longer each time.
 */
#pragma once

#include <stdint.h>

struct restart_policy {
    uint64_t backoff_initial_usec, backoff_max_usec;
    double backoff_factor; /* 1 or more */
    double backoff_jitter; /* 0 to 1 */
};

struct restart_history {
    unsigned failures; /* in a row */
};

struct restart_event {
    uint64_t ready_usec; /* how long it had been ready; 0: it never was */
    double random;       /* 0 to 1, from the caller: this function has no state */
};

struct restart_decision {
    uint64_t delay_usec; /* 0: at once */
    struct restart_history history;
};

struct restart_decision restart_policy_next(const struct restart_policy *policy,
                                            const struct restart_history *history,
                                            const struct restart_event *event);
