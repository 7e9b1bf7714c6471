/*
 * restart-policy.h - whether and when a worker that left by itself is started again. Pure.
 *
 * A start fails when the worker ends before it was ready, or within start_seconds. Failed starts in a row are counted: beyond start_retries the
 * slot is given up (FATAL), whatever `restart` says. A worker that ends later is started again always, never, or when its end was
 * unexpected: by a signal, or with an exit code that is not among those expected.
 *
 * One that had served for a while (been ready for longer than the longest backoff, max) is replaced at once and ends a row of failures, and so
 * does an expected end; any other end continues it: the n-th in a row waits initial * factor^(n-1), at most max, and that is spread by
 * ±jitter so that slots do not march in step. A row also ends when the generation changes (the shell then zeroes the history).
 * One that dies 1.5 s after it was ready, again and again, so waits longer each time.
 *
 * Beside that a program may be restarted so many times within a time (restart_window_next()): the one too many is given up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum restart_mode { RESTART_ALWAYS, RESTART_UNEXPECTED, RESTART_NEVER };

#define RESTART_RETRIES_UNLIMITED UINT32_MAX

struct restart_policy {
    enum restart_mode mode;
    uint32_t start_retries;
    uint64_t backoff_initial_usec, backoff_max_usec;
    double backoff_factor; /* 1 or more */
    double backoff_jitter; /* 0 to 1 */
};

struct restart_history {
    unsigned failures;      /* in a row */
    uint32_t failed_starts; /* likewise, since a start succeeded */
};

struct restart_event {
    bool start_failed;
    bool expected;       /* its exit code is one of those; else it means nothing */
    uint64_t ready_usec; /* how long it had been ready; 0: it never was */
    double random;       /* 0 to 1, from the caller: this function has no state */
};

enum restart_verdict {
    RESTART_AGAIN, /* after the delay */
    RESTART_OVER,  /* it has done what it was for: EXITED */
    RESTART_FATAL, /* it does not start */
};

struct restart_decision {
    enum restart_verdict verdict;
    uint64_t delay_usec; /* 0: at once */
    struct restart_history history;
};

struct restart_decision restart_policy_next(const struct restart_policy *policy,
                                            const struct restart_history *history,
                                            const struct restart_event *event);

#define RESTART_WINDOW_MAX 1000

/* The last restarts, the oldest first. */
struct restart_window {
    uint64_t times_usec[RESTART_WINDOW_MAX];
    size_t n;
};

/*
 * One more restart at `now`. False: there were `count` (1 to RESTART_WINDOW_MAX) of them within the last `within_usec` already; it is not
 * counted.
 */
bool restart_window_next(struct restart_window *window, unsigned count, uint64_t within_usec,
                         uint64_t now_usec);
