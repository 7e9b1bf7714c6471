/* test-since.c - from where on events are asked for, as people write it. */
#include "base/macros.h"
#include "reloaderctl/since.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NOW (1800000000 * USEC_PER_SEC)

static void expect_number(const char *text, uint64_t sequence, uint64_t start)
{
    struct since since;
    assert_int_equal(since_parse(text, NOW, &since), 0);
    assert_true(since.is_number);
    assert_int_equal(since.sequence, sequence);
    assert_int_equal(since.start, start);
}

static void expect_time(const char *text, uint64_t usec)
{
    struct since since;
    assert_int_equal(since_parse(text, NOW, &since), 0);
    assert_false(since.is_number);
    assert_int_equal(since.time_usec, usec);
}

static void test_numbers(UNUSED void **state)
{
    expect_number("0", 0, 0);
    expect_number("812", 812, 0);
    expect_number("812@1732192302123456", 812, 1732192302123456);
    expect_number("9223372036854775806", INT64_MAX - 1, 0);
}

static void test_times(UNUSED void **state)
{
    expect_time("5m", NOW - 300 * USEC_PER_SEC);
    expect_time("1.5s", NOW - 1500000);
    expect_time("364d", NOW - 364 * 86400 * USEC_PER_SEC);
    expect_time("1970-01-01T00:00:00Z", 0);
    expect_time("2026-11-21T12:43:22Z", 1795265002 * USEC_PER_SEC);
    expect_time("2026-11-21 12:43:22.25z", 1795265002 * USEC_PER_SEC + 250000);
    expect_time("2026-11-21T13:43:22.1234567+01:00", 1795265002 * USEC_PER_SEC + 123456);
    expect_time("2026-11-21T07:13:22-05:30", 1795265002 * USEC_PER_SEC);
}

static void test_neither(UNUSED void **state)
{
    static const char *const texts[] = {
        "", "@", "-5", "5 m", "5x", "812@", "@812", "812@x", "8@1@2", "99999999999999999999999999",
        "9223372036854775807", "yesterday", "2026-11-21", "2026-11-21T", "2026-11-21T12:43Z", "2026-11-21T12:43:22",
        "2026-13-21T12:43:22Z", "2026-11-21T12:43:22Zx", "2026-11-21T12:43:22+1:00", "2026-11-21T12:43:22+24:00",
        "2026-11-21T12:43:22.Z", "2026-11-21T12:43:22*01:00", "1969-12-31T23:59:59Z",
    };
    struct since since = {.sequence = 77};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(since_parse(texts[i], NOW, &since), -EINVAL);
    assert_int_equal(since.sequence, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_neither),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
