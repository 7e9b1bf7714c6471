/*
 * test-parse.c - what people write: taken to the letter, or refused with the right error and nothing touched.
 */
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define UNTOUCHED 4242

struct sample {
    const char *text;
    int result;
    uint64_t value;
};

typedef int parse_function(const char *s, uint64_t *ret);

static void check_samples(const struct sample *samples, size_t n, parse_function *parse)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = UNTOUCHED;
        int r = parse(samples[i].text, &value);
        uint64_t expected = samples[i].result == 0 ? samples[i].value : UNTOUCHED;
        if (r != samples[i].result || value != expected)
            fail_msg("\"%s\": %d, %" PRIu64 " but not %d, %" PRIu64, samples[i].text, r, value,
                     samples[i].result, expected);
    }
}
#define CHECK_SAMPLES(parse, ...)                                                                  \
    do {                                                                                           \
        static const struct sample samples[] = {__VA_ARGS__};                                      \
        check_samples(samples, ARRAY_SIZE(samples), parse);                                        \
    } while (0)

static int parse_3_to_10(const char *s, uint64_t *ret)
{
    return parse_unsigned(s, 3, 10, ret);
}

static int parse_any(const char *s, uint64_t *ret)
{
    return parse_unsigned(s, 0, UINT64_MAX, ret);
}

static int parse_percent_wide(const char *s, uint64_t *ret)
{
    unsigned value = UNTOUCHED;
    int r = parse_percent(s, &value);
    *ret = value;
    return r;
}

static int parse_signal_wide(const char *s, uint64_t *ret)
{
    int value = UNTOUCHED;
    int r = parse_signal(s, &value);
    *ret = (uint64_t)value;
    return r;
}

static int parse_mode_wide(const char *s, uint64_t *ret)
{
    unsigned value = UNTOUCHED;
    int r = parse_mode(s, &value);
    *ret = value;
    return r;
}

static void test_unsigned(void **state UNUSED)
{
    CHECK_SAMPLES(parse_3_to_10, {"3", 0, 3}, {"10", 0, 10}, {"0007", 0, 7}, {"2", -ERANGE, 0},
                  {"11", -ERANGE, 0}, {"", -EINVAL, 0}, {"-3", -EINVAL, 0}, {"+3", -EINVAL, 0},
                  {" 3", -EINVAL, 0}, {"3 ", -EINVAL, 0}, {"3x", -EINVAL, 0}, {"0x3", -EINVAL, 0},
                  {"3.0", -EINVAL, 0}, {"99999999999999999999999x", -EINVAL, 0},
                  {"99999999999999999999999", -ERANGE, 0});
    CHECK_SAMPLES(parse_any, {"0", 0, 0}, {"18446744073709551615", 0, UINT64_MAX},
                  {"18446744073709551616", -ERANGE, 0}, {"18446744073709551620", -ERANGE, 0},
                  {"36893488147419103232", -ERANGE, 0});
}

static void test_duration(void **state UNUSED)
{
    CHECK_SAMPLES(parse_duration, {"0", 0, 0}, {"0s", 0, 0}, {"500ms", 0, 500000},
                  {"1.5s", 0, 1500000}, {"5m", 0, 300 * USEC_PER_SEC},
                  {"5min", 0, 300 * USEC_PER_SEC}, {"24h", 0, 86400 * USEC_PER_SEC},
                  {"7d", 0, 7 * 86400 * USEC_PER_SEC}, {"3us", 0, 3}, {"0.000001s", 0, 1},
                  {"1.0000000009s", 0, 1000000}, {"0.25d", 0, 21600 * USEC_PER_SEC},
                  {"36500d", 0, UINT64_C(36500) * 86400 * USEC_PER_SEC});
    CHECK_SAMPLES(parse_duration, {"", -EINVAL, 0}, {"5", -EINVAL, 0}, {"00", -EINVAL, 0},
                  {"s", -EINVAL, 0}, {".5s", -EINVAL, 0}, {"1.s", -EINVAL, 0},
                  {"1..5s", -EINVAL, 0}, {"1,5s", -EINVAL, 0}, {"-1s", -EINVAL, 0},
                  {"1 s", -EINVAL, 0}, {" 1s", -EINVAL, 0}, {"1s ", -EINVAL, 0}, {"1S", -EINVAL, 0},
                  {"1sec", -EINVAL, 0}, {"1h30m", -EINVAL, 0}, {"inf", -EINVAL, 0},
                  {"99999999999999999999999q", -EINVAL, 0});
    CHECK_SAMPLES(parse_duration, {"36501d", -ERANGE, 0}, {"18446744073709551615us", -ERANGE, 0},
                  {"18446744073709551616us", -ERANGE, 0}, {"99999999999999999999999s", -ERANGE, 0},
                  {"213503982334602d", -ERANGE, 0});
}

static void test_size(void **state UNUSED)
{
    CHECK_SAMPLES(parse_size, {"0", 0, 0}, {"4096", 0, 4096}, {"512K", 0, 512 << 10},
                  {"64M", 0, 64 << 20}, {"1G", 0, 1 << 30}, {"1T", 0, UINT64_C(1) << 40},
                  {"9223372036854775807", 0, INT64_MAX});
    CHECK_SAMPLES(parse_size, {"", -EINVAL, 0}, {"K", -EINVAL, 0}, {"1k", -EINVAL, 0},
                  {"1KB", -EINVAL, 0}, {"1.5G", -EINVAL, 0}, {"-1", -EINVAL, 0},
                  {"1 M", -EINVAL, 0}, {"1E", -EINVAL, 0}, {"9223372036854775808", -ERANGE, 0},
                  {"8388608T", -ERANGE, 0}, {"16777216T", -ERANGE, 0},
                  {"99999999999999999999K", -ERANGE, 0}, {"99999999999999999999X", -EINVAL, 0});
}

static void test_percent(void **state UNUSED)
{
    CHECK_SAMPLES(parse_percent_wide, {"0%", 0, 0}, {"25%", 0, 25}, {"100000%", 0, 100000},
                  {"100001%", -ERANGE, 0}, {"99999999999999999999%", -ERANGE, 0},
                  {"25", -EINVAL, 0}, {"%", -EINVAL, 0}, {"", -EINVAL, 0}, {"25%%", -EINVAL, 0},
                  {"2.5%", -EINVAL, 0}, {"-5%", -EINVAL, 0}, {"25 %", -EINVAL, 0});
}

static void test_signal(void **state UNUSED)
{
    CHECK_SAMPLES(parse_signal_wide, {"TERM", 0, SIGTERM}, {"SIGTERM", 0, SIGTERM},
                  {"term", 0, SIGTERM}, {"sigquit", 0, SIGQUIT}, {"15", 0, 15}, {"1", 0, 1},
                  {"USR2", 0, SIGUSR2}, {"SIGWINCH", 0, SIGWINCH});
    CHECK_SAMPLES(parse_signal_wide, {"0", -ERANGE, 0}, {"65", -ERANGE, 0},
                  {"99999999999999999999", -ERANGE, 0}, {"", -EINVAL, 0}, {"SIG", -EINVAL, 0},
                  {"-9", -EINVAL, 0}, {"TERM ", -EINVAL, 0}, {"SIGSIGTERM", -EINVAL, 0},
                  {"SIG15", -EINVAL, 0}, {"TERMX", -EINVAL, 0}, {"RTMAX", -EINVAL, 0},
                  {"RTMIN-1", -EINVAL, 0}, {"RTMIN+", -EINVAL, 0}, {"RTMIN+x", -EINVAL, 0},
                  {"RTMIN+99", -ERANGE, 0});
    uint64_t value;
    assert_int_equal(parse_signal_wide("RTMIN", &value), 0);
    assert_int_equal(value, SIGRTMIN);
    assert_int_equal(parse_signal_wide("sigrtmin+3", &value), 0);
    assert_int_equal(value, SIGRTMIN + 3);
}

static void test_mode(void **state UNUSED)
{
    CHECK_SAMPLES(parse_mode_wide, {"0660", 0, 0660}, {"660", 0, 0660}, {"0", 0, 0},
                  {"07777", 0, 07777}, {"10000", -ERANGE, 0}, {"777777", -ERANGE, 0},
                  {"7777777777777777777777777", -ERANGE, 0}, {"", -EINVAL, 0}, {"0668", -EINVAL, 0},
                  {"0o660", -EINVAL, 0}, {"-660", -EINVAL, 0}, {"rw", -EINVAL, 0},
                  {" 660", -EINVAL, 0});
}

static void test_bool(void **state UNUSED)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"},
                             *const neither[] = {"", "True", "y", "1", "0", "true ", "tru", "onn"};
    bool value = false;
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++, value = false) {
        assert_int_equal(parse_bool(yes[i], &value), 0);
        assert_true(value);
    }
    value = true;
    for (size_t i = 0; i < ARRAY_SIZE(no); i++, value = true) {
        assert_int_equal(parse_bool(no[i], &value), 0);
        assert_false(value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
        assert_int_equal(parse_bool(neither[i], &value), -EINVAL);
    assert_true(value);
}

static void test_signal_names(void **state UNUSED)
{
    char buffer[SIGNAL_NAME_SIZE];
    for (int i = 1; i <= SIGRTMAX; i++) {
        int parsed = 0;
        const char *name = signal_to_string(i, buffer);
        if (strncmp(name, "SIG", 3) == 0) {
            assert_int_equal(parse_signal(name, &parsed), 0);
            assert_int_equal(parsed, i);
        }
    }
    assert_string_equal(signal_to_string(SIGSEGV, buffer), "SIGSEGV");
    assert_string_equal(signal_to_string(SIGRTMIN + 3, buffer), "SIGRTMIN+3");
    assert_string_equal(signal_to_string(99, buffer), "signal 99");
    assert_string_equal(signal_to_string(0, buffer), "signal 0");
    assert_string_equal(signal_to_string(-1, buffer), "signal -1");
}

static void test_durations_for_people(void **state UNUSED)
{
    static const struct {
        uint64_t usec;
        const char *text;
    } samples[] = {
        {0, "0 ms"},
        {499, "0 ms"},
        {500, "1 ms"},
        {120000, "120 ms"},
        {999499, "999 ms"},
        {999500, "1.0 s"},
        {1200000, "1.2 s"},
        {59999499, "59.9 s"},
        {59999500, "1 min 0 s"},
        {250 * USEC_PER_SEC, "4 min 10 s"},
        {3599499999, "59 min 59 s"},
        {3599500000, "1 h 0 min"},
        {(3 * 3600 + 5 * 60) * USEC_PER_SEC, "3 h 5 min"},
        {UINT64_MAX - 1, "5124095576 h 1 min"},
        {USEC_INFINITY, "forever"},
    };
    char buffer[DURATION_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        assert_string_equal(duration_to_text(samples[i].usec, buffer), samples[i].text);
}

static void test_sizes_for_people(void **state UNUSED)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } samples[] = {
        {0, "0"},
        {1023, "1023"},
        {1024, "1.0K"},
        {(uint64_t)3870720, "3.7M"},
        {(uint64_t)99 << 20, "99.0M"},
        {((uint64_t)100 << 20) - 1, "100M"},
        {((uint64_t)1 << 30) - 1, "1.0G"},
        {(uint64_t)1000 << 30, "1000G"},
        {UINT64_MAX, "16.0E"},
    };
    char buffer[SIZE_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        assert_string_equal(size_to_text(samples[i].bytes, buffer), samples[i].text);
}

static void test_durations_for_configurations(void **state UNUSED)
{
    static const uint64_t values[] = {0,
                                      1,
                                      999,
                                      1000,
                                      1500000,
                                      500 * USEC_PER_MSEC,
                                      10 * USEC_PER_SEC,
                                      90 * USEC_PER_SEC,
                                      3600 * USEC_PER_SEC,
                                      UINT64_C(36500) * 86400 * USEC_PER_SEC,
                                      123456789};
    char buffer[DURATION_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        uint64_t back = UNTOUCHED;
        assert_int_equal(parse_duration(duration_to_config(values[i], buffer), &back), 0);
        assert_int_equal(back, values[i]);
    }
    assert_string_equal(duration_to_config(0, buffer), "0s");
    assert_string_equal(duration_to_config(500000, buffer), "500ms");
    assert_string_equal(duration_to_config(300 * USEC_PER_SEC, buffer), "5m");
    assert_string_equal(duration_to_config(86400 * USEC_PER_SEC, buffer), "24h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsigned),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_mode),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_signal_names),
        cmocka_unit_test(test_sizes_for_people),
        cmocka_unit_test(test_durations_for_people),
        cmocka_unit_test(test_durations_for_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
