/*
 * test-restart-policy.c - backoff grows, is bounded, is spread, and ends when a worker has served.
 */
#include "base/macros.h"
#include "program/restart-policy.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct restart_policy defaults = {
    .backoff_initial_usec = 200 * USEC_PER_MSEC,
    .backoff_max_usec = 30 * USEC_PER_SEC,
    .backoff_factor = 2,
    .backoff_jitter = 0.2,
};

/* The n-th failure in a row of a worker that was ready for so long; random 0.5 is no jitter. */
static uint64_t delay_after(const struct restart_policy *policy, unsigned failures,
                            uint64_t ready_usec, double random)
{
    struct restart_history history = {0};
    struct restart_decision decision = {0};
    for (unsigned i = 0; i < failures; i++) {
        struct restart_event event = {.ready_usec = ready_usec, .random = random};
        decision = restart_policy_next(policy, &history, &event);
        history = decision.history;
    }
    return decision.delay_usec;
}

static void test_failures_in_a_row_wait_longer(void **state UNUSED)
{
    static const unsigned expected_msec[] = {200,  400,   800,   1600,  3200,
                                             6400, 12800, 25600, 30000, 30000};
    for (unsigned i = 0; i < ARRAY_SIZE(expected_msec); i++)
        assert_int_equal(delay_after(&defaults, i + 1, 0, 0.5), expected_msec[i] * USEC_PER_MSEC);
}

static void test_a_short_life_is_a_failure_too(void **state UNUSED)
{
    assert_int_equal(delay_after(&defaults, 1, 1500 * USEC_PER_MSEC, 0.5), 200 * USEC_PER_MSEC);
    assert_int_equal(delay_after(&defaults, 5, 1500 * USEC_PER_MSEC, 0.5), 3200 * USEC_PER_MSEC);
    assert_int_equal(delay_after(&defaults, 1, defaults.backoff_max_usec, 0.5),
                     200 * USEC_PER_MSEC);
}

static void test_who_served_comes_back_at_once(void **state UNUSED)
{
    struct restart_history history = {.failures = 7};
    struct restart_event event = {.ready_usec = defaults.backoff_max_usec + 1, .random = 0.5};
    struct restart_decision decision = restart_policy_next(&defaults, &history, &event);
    assert_int_equal(decision.delay_usec, 0);
    assert_int_equal(decision.history.failures, 0);
}

static void test_jitter(void **state UNUSED)
{
    assert_int_equal(delay_after(&defaults, 2, 0, 0), 320 * USEC_PER_MSEC);
    assert_int_equal(delay_after(&defaults, 2, 0, 1), 480 * USEC_PER_MSEC);
    /* The longest is spread as well: it is there that slots would march in step. */
    assert_int_equal(delay_after(&defaults, 20, 0, 0), 24 * USEC_PER_SEC);
    assert_int_equal(delay_after(&defaults, 20, 0, 1), 36 * USEC_PER_SEC);
}

static void test_nothing_overflows(void **state UNUSED)
{
    struct restart_event event = {.random = 1};
    struct restart_history history = {.failures = UINT_MAX};
    struct restart_policy policy = {.backoff_initial_usec = 1,
                                    .backoff_max_usec = UINT64_MAX - 1,
                                    .backoff_factor = 1e300,
                                    .backoff_jitter = 1};
    struct restart_decision decision = restart_policy_next(&policy, &history, &event);
    assert_int_equal(decision.history.failures, UINT_MAX);
    assert_true(decision.delay_usec >= UINT64_C(1000000000000000000));

    policy.backoff_initial_usec = UINT64_MAX - 1;
    assert_true(restart_policy_next(&policy, &history, &event).delay_usec == INT64_MAX);

    policy.backoff_initial_usec = 0;
    assert_int_equal(restart_policy_next(&policy, &history, &event).delay_usec, 0);

    policy = defaults;
    policy.backoff_factor = 1;
    assert_int_equal(restart_policy_next(&policy, &history, &event).delay_usec,
                     240 * USEC_PER_MSEC);
    policy.backoff_factor = 1.0000001;
    assert_int_equal(restart_policy_next(&policy, &history, &event).delay_usec, 36 * USEC_PER_SEC);
}

/* Whatever the row: never below the one before, never beyond the longest. */
static void test_monotonic(void **state UNUSED)
{
    for (double factor = 1; factor < 10; factor += 0.25) {
        struct restart_policy policy = defaults;
        policy.backoff_factor = factor;
        policy.backoff_jitter = 0;
        uint64_t before = 0;
        for (unsigned failures = 0; failures < 200; failures++) {
            struct restart_history history = {.failures = failures};
            struct restart_event event = {.random = 0.9};
            uint64_t delay = restart_policy_next(&policy, &history, &event).delay_usec;
            assert_true(delay >= before && delay <= policy.backoff_max_usec);
            before = delay;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_in_a_row_wait_longer),
        cmocka_unit_test(test_a_short_life_is_a_failure_too),
        cmocka_unit_test(test_who_served_comes_back_at_once),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_nothing_overflows),
        cmocka_unit_test(test_monotonic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
