/*
 * test-restart-policy.c - backoff grows, is bounded, is spread, and ends when a worker has served.
 */
#include "base/macros.h"
#include "program/restart-policy.h"

#include <limits.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct restart_policy defaults = {
    .mode = RESTART_ALWAYS,
    .start_retries = RESTART_RETRIES_UNLIMITED,
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

/* All that can happen, against what the header says. */
static void test_every_end(void **state UNUSED)
{
    static const enum restart_mode modes[] = {RESTART_ALWAYS, RESTART_UNEXPECTED, RESTART_NEVER};
    static const uint32_t retries[] = {0, 1, 3, RESTART_RETRIES_UNLIMITED};
    for (unsigned bits = 0; bits < 3U * 4 * 2 * 2 * 5; bits++) {
        unsigned mode = bits % 3, limit = bits / 3 % 4, before = bits / 48;
        struct restart_policy policy = defaults;
        struct restart_history history = {.failures = before, .failed_starts = before};
        struct restart_event event = {
            .start_failed = bits / 12 % 2, .expected = bits / 24 % 2, .random = 0.5};
        policy.mode = modes[mode];
        policy.start_retries = retries[limit];
        event.ready_usec = event.start_failed ? 0 : USEC_PER_SEC;
        struct restart_decision decision = restart_policy_next(&policy, &history, &event);
        enum restart_verdict expected = RESTART_AGAIN;
        if (event.start_failed)
            expected = before + 1 > retries[limit] ? RESTART_FATAL : RESTART_AGAIN;
        else if (mode == RESTART_NEVER || (mode == RESTART_UNEXPECTED && event.expected))
            expected = RESTART_OVER;
        assert_int_equal(decision.verdict, expected);
        assert_int_equal(decision.history.failed_starts, event.start_failed ? before + 1 : 0);
        bool served = event.expected && !event.start_failed;
        assert_int_equal(decision.history.failures, served ? 0 : before + 1);
        assert_int_equal(decision.delay_usec == 0, served || expected != RESTART_AGAIN);
    }
}

static void test_retries_are_in_a_row(void **state UNUSED)
{
    struct restart_policy policy = defaults;
    const struct restart_event fails = {.start_failed = true, .random = 0.5},
                               serves = {.ready_usec = USEC_PER_SEC, .random = 0.5};
    struct restart_decision decision = {0};
    policy.start_retries = 2;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2; i++) {
            decision = restart_policy_next(&policy, &decision.history, &fails);
            assert_int_equal(decision.verdict, RESTART_AGAIN);
        }
        decision = restart_policy_next(&policy, &decision.history, &serves);
    }
    for (unsigned i = 0; i < 3; i++)
        decision = restart_policy_next(&policy, &decision.history, &fails);
    assert_int_equal(decision.verdict, RESTART_FATAL);
}

static void test_window(void **state UNUSED)
{
    struct restart_window *window = calloc(1, sizeof(*window));
    for (uint64_t now = 100; now < 103; now++)
        assert_true(restart_window_next(window, 3, 10, now));
    assert_false(restart_window_next(window, 3, 10, 109));
    assert_true(restart_window_next(window, 3, 10, 110));
    assert_false(restart_window_next(window, 3, 10, 110));
    assert_true(restart_window_next(window, 3, 10, 1000));
    for (unsigned i = 0; i < RESTART_WINDOW_MAX; i++)
        (void)restart_window_next(window, RESTART_WINDOW_MAX, 1, 2000);
    assert_false(restart_window_next(window, RESTART_WINDOW_MAX, 1, 2000));
    assert_true(restart_window_next(window, RESTART_WINDOW_MAX, 1, 2001));
    free(window);
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
        cmocka_unit_test(test_every_end),
        cmocka_unit_test(test_retries_are_in_a_row),
        cmocka_unit_test(test_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
