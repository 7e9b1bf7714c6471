/*
 * test-spread.c - the ends of connections: within disconnect_spread, one slot after the other, evenly, never early.
 */
#include "base/macros.h"
#include "program/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LONGEST (7 * 86400 * USEC_PER_SEC)

static const uint64_t spreads[] = {0, 1, 999, 30 * USEC_PER_SEC, 86400 * USEC_PER_SEC, LONGEST};
static const double offsets[] = {0, 0.001, 0.5, 0.999999, 1};
static const unsigned counts[] = {1, 2, 3, 4, 7, 64, 1000};

static void test_points_are_within_the_spread_and_rise(void **state UNUSED)
{
    for (size_t s = 0; s < ARRAY_SIZE(spreads); s++)
        for (size_t o = 0; o < ARRAY_SIZE(offsets); o++)
            for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
                uint64_t before = 0;
                for (unsigned slot = 0; slot < counts[c]; slot++) {
                    uint64_t point = spread_point(spreads[s], slot, counts[c], offsets[o]);
                    assert_true(point >= before && point <= spreads[s]);
                    before = point;
                }
            }
}

/* Each n-th part of the time has one of n slots, whatever the offset. */
static void test_points_are_even(void **state UNUSED)
{
    const uint64_t spread = 30 * USEC_PER_SEC;
    for (size_t o = 0; o < ARRAY_SIZE(offsets); o++)
        for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
            uint64_t part = spread / counts[c];
            for (unsigned slot = 1; slot < counts[c]; slot++) {
                uint64_t gap = spread_point(spread, slot, counts[c], offsets[o]) -
                               spread_point(spread, slot - 1, counts[c], offsets[o]);
                assert_in_range(gap, part - 1, part + 1);
            }
        }
    assert_int_equal(spread_point(spread, 0, 4, 0), 0);
    assert_int_equal(spread_point(spread, 3, 4, 0), 22500 * USEC_PER_MSEC);
    assert_int_equal(spread_point(spread, 3, 4, 1), spread);
}

/* Its point is anywhere: machines that reload at a time get different ones. */
static void test_one_slot(void **state UNUSED)
{
    assert_int_equal(spread_point(1000, 0, 1, 0), 0);
    assert_int_equal(spread_point(1000, 0, 1, 0.25), 250);
    assert_int_equal(spread_point(1000, 0, 1, 1), 1000);
}

/* Who is told with the first waits for its point; who is told later waits for what is left until there, and never for more. */
static void test_wait(void **state UNUSED)
{
    assert_int_equal(spread_wait(700, 5000, 5000), 700);
    assert_int_equal(spread_wait(700, 5000, 5300), 400);
    assert_int_equal(spread_wait(700, 5000, 5700), 0);
    assert_int_equal(spread_wait(700, 5000, UINT64_MAX), 0);
    assert_int_equal(spread_wait(0, 5000, 5000), 0);
    /* A clock that stood still at best. */
    assert_int_equal(spread_wait(700, 5000, 4000), 700);
    uint64_t before = LONGEST;
    for (uint64_t now = 0; now < 2 * LONGEST; now += LONGEST / 97) {
        uint64_t wait = spread_wait(LONGEST, 0, now);
        assert_true(wait <= before && wait <= LONGEST);
        assert_true(now + wait >= LONGEST);
        before = wait;
    }
}

/* Those that drain one after the other take the whole time together, no less and no more. */
static void test_own(void **state UNUSED)
{
    assert_int_equal(spread_own(1000, 1, 1), 1000);
    assert_int_equal(spread_own(1000, 4, 4), 1000);
    assert_int_equal(spread_own(1000, 5, 4), 1000);
    assert_int_equal(spread_own(1000, 1, 4), 250);
    assert_int_equal(spread_own(1000, 2, 4), 500);
    assert_int_equal(spread_own(0, 1, 4), 0);
    for (size_t s = 0; s < ARRAY_SIZE(spreads); s++)
        for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
            uint64_t before = 0;
            for (unsigned together = 1; together <= counts[c]; together++) {
                uint64_t own = spread_own(spreads[s], together, counts[c]);
                uint64_t sum = own * counts[c] / together;
                assert_true(own >= before && own <= spreads[s]);
                assert_true(sum <= spreads[s] && sum + 2 * counts[c] > spreads[s]);
                before = own;
            }
            assert_int_equal(before, spreads[s]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_are_within_the_spread_and_rise),
        cmocka_unit_test(test_points_are_even),
        cmocka_unit_test(test_one_slot),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
