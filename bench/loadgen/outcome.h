/* outcome.h - how requests end: every one is counted in exactly one class, and so is every reply beyond. */
#pragma once

#include "loadgen/histogram.h"

#include <stdbool.h>

enum outcome {
    OUTCOME_OK,
    OUTCOME_REFUSED,    /* nobody listens */
    OUTCOME_RESET,      /* the connection was torn down */
    OUTCOME_TIMED_OUT,  /* no end within the time allowed */
    OUTCOME_CUT,        /* an orderly end before the reply was complete */
    OUTCOME_CORRUPTED,  /* a reply that is not the one to this request */
    OUTCOME_BAD_STATUS, /* HTTP: a whole reply that is not 2xx */
    OUTCOME_LOCAL,      /* never started, for want of fds or ports on this side */
    OUTCOME_LOST,       /* UDP: no reply within the time allowed */
    OUTCOME_DUPLICATE,  /* UDP: one reply more to a datagram that has ended */
    OUTCOME_WRONG_FLOW, /* UDP: a reply that was another flow's */
};
#define OUTCOME_MAX (OUTCOME_WRONG_FLOW + 1)

const char *outcome_to_string(enum outcome outcome);
/* What an error of connect, send or receive means. */
enum outcome outcome_of_errno(int error);

#define FAILURES_KEPT     10
#define FAILURE_TEXT_SIZE 160

struct tally {
    uint64_t counts[OUTCOME_MAX];
    struct histogram latency; /* of those that were ok */
    uint64_t began_usec;
    uint64_t last_ok_usec, max_gap_usec; /* longest time between two that were ok */
    char failures[FAILURES_KEPT][FAILURE_TEXT_SIZE];
    unsigned n_failures;
};

/* `scheduled_usec` is when it should have begun: a late generator or a full server count as latency. */
void tally_ok(struct tally *tally, uint64_t scheduled_usec, uint64_t done_usec);
/* `what` says where it failed, for people; the first few are kept. */
void tally_failure(struct tally *tally, enum outcome outcome, uint64_t now_usec, const char *what,
                   ...) PRINTF_LIKE(4, 5);
uint64_t tally_failed(const struct tally *tally);
