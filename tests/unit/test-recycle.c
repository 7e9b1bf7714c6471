#include "program/recycle.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HOUR (3600 * USEC_PER_SEC)

static void test_due(void **state UNUSED)
{
    assert_int_equal(recycle_due(5, 24 * HOUR, 0, 0.9), 24 * HOUR + 5);
    assert_int_equal(recycle_due(5, 20 * HOUR, 0.25, 0), 15 * HOUR + 5);
    assert_int_equal(recycle_due(5, 20 * HOUR, 0.25, 0.5), 20 * HOUR + 5);
    assert_int_equal(recycle_due(5, 20 * HOUR, 0.25, 1), 25 * HOUR + 5);
    assert_int_equal(recycle_due(5, 20 * HOUR, 1, 0), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_due)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
