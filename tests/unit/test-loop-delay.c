/* test-loop-delay.c - the longest wait of the last minute. */
#include "base/macros.h"
#include "master/loop-delay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_longest(UNUSED void **state)
{
    struct loop_delay delay = {0};
    const uint64_t begin = 9000 * USEC_PER_SEC;
    assert_int_equal(loop_delay_longest(&delay, begin), 0);
    loop_delay_note(&delay, begin, 5);
    loop_delay_note(&delay, begin + 1, 70);
    loop_delay_note(&delay, begin + 2, 6);
    assert_int_equal(loop_delay_longest(&delay, begin + 3), 70);
    /* Not forgotten within half a minute, whoever asks; for certain after a whole one. */
    assert_int_equal(loop_delay_longest(&delay, begin + 30 * USEC_PER_SEC), 70);
    loop_delay_note(&delay, begin + 30 * USEC_PER_SEC, 8);
    assert_int_equal(loop_delay_longest(&delay, begin + 59 * USEC_PER_SEC), 70);
    assert_int_equal(loop_delay_longest(&delay, begin + 60 * USEC_PER_SEC), 8);
    assert_int_equal(loop_delay_longest(&delay, begin + 90 * USEC_PER_SEC), 0);
    assert_int_equal(delay.sum_usec, 5 + 70 + 6 + 8);
    loop_delay_note(&delay, begin + 900 * USEC_PER_SEC, 3);
    assert_int_equal(loop_delay_longest(&delay, begin + 901 * USEC_PER_SEC), 3);
}

static void test_histogram(UNUSED void **state)
{
    struct loop_delay delay = {0};
    const uint64_t waits[] = {0, 100, 101, 10000, 10001, 1000000, 1000001, UINT64_MAX};
    const uint64_t wanted[LOOP_DELAY_BUCKETS] = {2, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 2};
    for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
        loop_delay_note(&delay, 70 * USEC_PER_SEC * i, waits[i]);
    for (size_t i = 0; i < LOOP_DELAY_BUCKETS; i++) {
        assert_int_equal(delay.counts[i], wanted[i]);
        assert_true(i == 0 || loop_delay_bound(i) > loop_delay_bound(i - 1));
    }
    assert_int_equal(loop_delay_bound(LOOP_DELAY_BUCKETS - 1), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_longest),
                                       cmocka_unit_test(test_histogram)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
