/*
 * restart-policy.c - exponential backoff. Doubles that are capped at each step: nothing overflows, whatever the row's length.
 */
#include "program/restart-policy.h"

#include "base/macros.h"

#include <limits.h>

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

struct restart_decision restart_policy_next(const struct restart_policy *policy,
                                            const struct restart_history *history,
                                            const struct restart_event *event)
{
    if (event->ready_usec > policy->backoff_max_usec)
        return (struct restart_decision){.history = {.failures = 0}};
    unsigned failures = history->failures < UINT_MAX ? history->failures + 1 : UINT_MAX;
    return (struct restart_decision){
        .delay_usec = backoff(policy, failures, event->random),
        .history = {.failures = failures},
    };
}
