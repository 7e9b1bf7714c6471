/*
 * restart-policy.h - when a worker that left by itself is started again. Pure.
 *
 * A worker that had served for a while is replaced at once. Failures in a row wait longer and longer:
 * initial * factor^(n-1), at most max, spread by ±jitter so that slots do not march in step. "In a row" ends when a worker has been ready for
 * longer than the longest backoff (max), or when the generation changes (the shell then zeroes the history).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct restart_policy {
    uint64_t backoff_initial_usec, backoff_max_usec;
    double backoff_factor, backoff_jitter;
};

struct restart_history {
    unsigned failures; /* in a row */
};

struct restart_event {
    uint64_t ready_usec; /* how long it had been ready; 0: it never was */
    double random;       /* 0 to 1, from the caller: this function has no state */
};

enum restart_verdict { RESTART_NOW, RESTART_LATER, RESTART_GIVE_UP };

struct restart_decision {
    enum restart_verdict verdict;
    uint64_t delay_usec; /* RESTART_LATER */
    struct restart_history history;
};

struct restart_decision restart_policy_next(const struct restart_policy *policy, const struct restart_history *history,
                                            const struct restart_event *event);
