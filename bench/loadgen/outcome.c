#include "loadgen/outcome.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *outcome_to_string(enum outcome outcome)
{
    static const char *const names[] = {
        [OUTCOME_OK] = "ok",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_RESET] = "reset",
        [OUTCOME_TIMED_OUT] = "timed_out",
        [OUTCOME_CUT] = "cut",
        [OUTCOME_CORRUPTED] = "corrupted",
        [OUTCOME_BAD_STATUS] = "bad_status",
        [OUTCOME_LOCAL] = "local",
        [OUTCOME_LOST] = "lost",
        [OUTCOME_DUPLICATE] = "duplicate",
        [OUTCOME_WRONG_FLOW] = "wrong_flow",
    };
    return names[outcome];
}

enum outcome outcome_of_errno(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
        return OUTCOME_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return OUTCOME_RESET;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return OUTCOME_TIMED_OUT;
    default:
        return OUTCOME_LOCAL;
    }
}

void tally_ok(struct tally *tally, uint64_t scheduled_usec, uint64_t done_usec)
{
    tally->counts[OUTCOME_OK]++;
    histogram_add(&tally->latency, done_usec - MIN(scheduled_usec, done_usec));
    if (tally->last_ok_usec > 0 && done_usec > tally->last_ok_usec)
        tally->max_gap_usec = MAX(tally->max_gap_usec, done_usec - tally->last_ok_usec);
    tally->last_ok_usec = MAX(tally->last_ok_usec, done_usec);
}

void tally_failure(struct tally *tally, enum outcome outcome, uint64_t now_usec, const char *what,
                   ...)
{
    tally->counts[outcome]++;
    if (tally->n_failures == FAILURES_KEPT)
        return;
    char text[FAILURE_TEXT_SIZE - 40];
    va_list arguments;
    va_start(arguments, what);
    (void)vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    (void)snprintf(tally->failures[tally->n_failures++], FAILURE_TEXT_SIZE, "%.3f s: %s %s",
                   (double)(now_usec - tally->began_usec) / 1e6, outcome_to_string(outcome), text);
}

uint64_t tally_failed(const struct tally *tally)
{
    uint64_t failed = 0;
    for (size_t i = OUTCOME_OK + 1; i < OUTCOME_MAX; i++)
        failed += tally->counts[i];
    return failed;
}
