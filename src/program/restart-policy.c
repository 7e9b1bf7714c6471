/*
 * Exponential backoff: doubles that are capped at each step: nothing overflows, whatever the row's length.
 */
#include "program/restart-policy.h"

#include "base/macros.h"

#include <limits.h>
#include <string.h>

/* Larger than the ratio of any two durations that can be configured. */
#define POWER_MAX 1e18

static double power_at_most(double base, unsigned exponent)
{
    double power = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            power = MIN(power * base, POWER_MAX);
        base = MIN(base * base, POWER_MAX);
    }
    return power;
}

static uint64_t backoff(const struct restart_policy *policy, unsigned failures, double random)
{
    double delay = (double)policy->backoff_initial_usec *
                   power_at_most(policy->backoff_factor, failures - 1);
    delay = MIN(delay, (double)policy->backoff_max_usec);
    delay *= 1 + policy->backoff_jitter * (2 * random - 1);
    return delay < (double)INT64_MAX ? (uint64_t)delay : INT64_MAX;
}

static bool is_restarted(const struct restart_policy *policy, const struct restart_event *event)
{
    switch (policy->mode) {
    case RESTART_ALWAYS:
        return true;
    case RESTART_UNEXPECTED:
        return !event->expected;
    case RESTART_NEVER:
        return false;
    }
    return true;
}

static uint32_t one_more(uint32_t n)
{
    return n < UINT32_MAX ? n + 1 : n;
}

static struct restart_history next_history(const struct restart_policy *policy,
                                           const struct restart_history *history,
                                           const struct restart_event *event)
{
    bool served = event->ready_usec > policy->backoff_max_usec ||
                  (event->expected && !event->start_failed);
    return (struct restart_history){
        .failures = served ? 0 : one_more(history->failures),
        .failed_starts = event->start_failed ? one_more(history->failed_starts) : 0,
    };
}

struct restart_decision restart_policy_next(const struct restart_policy *policy,
                                            const struct restart_history *history,
                                            const struct restart_event *event)
{
    struct restart_decision decision = {.history = next_history(policy, history, event)};
    if (event->start_failed) {
        bool enough = policy->start_retries != RESTART_RETRIES_UNLIMITED &&
                      decision.history.failed_starts > policy->start_retries;
        decision.verdict = enough ? RESTART_FATAL : RESTART_AGAIN;
    } else {
        decision.verdict = is_restarted(policy, event) ? RESTART_AGAIN : RESTART_OVER;
    }
    if (decision.verdict == RESTART_AGAIN && decision.history.failures > 0)
        decision.delay_usec = backoff(policy, decision.history.failures, event->random);
    return decision;
}

bool restart_window_next(struct restart_window *window, unsigned count, uint64_t within_usec,
                         uint64_t now_usec)
{
    size_t old = 0;
    while (old < window->n && now_usec - window->times_usec[old] >= within_usec)
        old++;
    window->n -= old;
    memmove(window->times_usec, window->times_usec + old, window->n * sizeof(uint64_t));
    if (window->n >= count)
        return false;
    window->times_usec[window->n++] = now_usec;
    return true;
}
