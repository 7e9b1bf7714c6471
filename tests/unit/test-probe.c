/* What reloader-probe decides by itself: whom to ask, what is a good answer, and what to tell. */
#include "base/clock.h"
#include "probe/check.h"
#include "probe/report.h"
#include "probe/target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect_url(const char *text, const char *url, const char *unix_path)
{
    struct target target;
    assert_int_equal(target_from_url(text, &target), 0);
    assert_string_equal(target.url, url);
    assert_int_equal(target.unix_path == NULL, unix_path == NULL);
    if (unix_path)
        assert_string_equal(target.unix_path, unix_path);
    assert_false(target.connects);
    assert_false(target.abstract);
    target_clear(&target);
}

static void test_urls(void **state UNUSED)
{
    struct target target;
    expect_url("http://127.0.0.1:80/a?b", "http://127.0.0.1:80/a?b", NULL);
    expect_url("https://[::1]/", "https://[::1]/", NULL);
    expect_url("http://unix:/run/a.sock:/health?x=1:2", "http://localhost/health?x=1:2",
               "/run/a.sock");
    expect_url("http://unix:/a:health", "http://localhost/health", "/a");
    expect_url("https://unix:/a", "https://localhost/", "/a");
    assert_int_equal(target_from_url("ftp://x/", &target), -EINVAL);
    assert_int_equal(target_from_url("x", &target), -EINVAL);
    assert_int_equal(target_from_url("http://unix:a", &target), -EINVAL);
    assert_int_equal(target_from_url("http://unix:/:/", &target), -EINVAL);
}

static void expect_address(const char *text, const char *url, const char *unix_path, bool abstract)
{
    struct target target;
    assert_int_equal(target_from_address(text, &target), 0);
    assert_string_equal(target.url, url);
    assert_int_equal(target.unix_path == NULL, unix_path == NULL);
    if (unix_path)
        assert_string_equal(target.unix_path, unix_path);
    assert_true(target.connects);
    assert_int_equal(target.abstract, abstract);
    target_clear(&target);
}

static void test_addresses(void **state UNUSED)
{
    struct target target;
    expect_address("127.0.0.1:80", "http://127.0.0.1:80/", NULL, false);
    expect_address("localhost:80", "http://127.0.0.1:80/", NULL, false);
    expect_address("80", "http://0.0.0.0:80/", NULL, false);
    expect_address("[::1]:80", "http://[::1]:80/", NULL, false);
    expect_address("unix:/a.sock", "http://localhost/", "/a.sock", false);
    expect_address("unix:@name", "http://localhost/", "name", true);
    assert_int_equal(target_from_address("example.org:80", &target), -EINVAL);
    assert_int_equal(target_from_address("udp:80", &target), -EINVAL);
}

static void test_status(void **state UNUSED)
{
    for (long status = 0; status < 700; status++)
        assert_int_equal(check_is_good_status(status), status / 100 == 2 || status / 100 == 3);
}

static void test_reports_that_count(void **state UNUSED)
{
    struct report report = {0};
    assert_true(report_next(&report, true, true, "status 200"));
    assert_false(report_next(&report, true, true, "status 204"));
    assert_true(report_next(&report, true, false, "status 500"));
    assert_true(report_next(&report, true, false, "status 500"));
    assert_true(report_next(&report, true, true, "status 200"));
    assert_false(report_next(&report, true, true, "status 200"));
}

static void test_reports_of_changes(void **state UNUSED)
{
    struct report report = {0};
    assert_true(report_next(&report, false, false, "refused"));
    assert_false(report_next(&report, false, false, "refused"));
    assert_true(report_next(&report, false, false, "status 503"));
    assert_true(report_next(&report, false, true, "status 200"));
    assert_false(report_next(&report, false, true, "status 200"));
    assert_true(report_next(&report, false, false, "status 503"));
    char longer[2 * REPORT_TEXT_SIZE];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_true(report_next(&report, false, false, longer));
    assert_false(report_next(&report, false, false, longer));
}

/* The first word about it finds no room; nothing changes afterwards. */
static bool on_result(uint64_t number UNUSED, bool good, const char *text UNUSED, void *userdata)
{
    unsigned *tries = userdata;
    assert_false(good);
    return ++*tries > 1;
}

static void test_what_was_not_told(void **state UNUSED)
{
    sd_event *event = NULL;
    struct transfers *transfers = NULL;
    struct check *check = NULL;
    unsigned tries = 0;
    struct check_params params = {.interval_usec = USEC_PER_MSEC,
                                  .timeout_usec = USEC_PER_SEC,
                                  .result = on_result,
                                  .userdata = &tries};
    assert_true(sd_event_new(&event) >= 0);
    assert_int_equal(transfers_new(event, check_ended, &transfers), 0);
    assert_int_equal(target_from_address("unix:/nobody/listens/here", &params.target), 0);
    assert_int_equal(check_new(event, transfers, &params, &check), 0);
    for (unsigned i = 0; i < 1000 && tries < 2; i++)
        assert_true(sd_event_run(event, USEC_PER_SEC) >= 0);
    assert_int_equal(tries, 2);
    /* It is told now. */
    for (unsigned i = 0; i < 20; i++)
        assert_true(sd_event_run(event, USEC_PER_SEC) >= 0);
    assert_int_equal(tries, 2);
    (void)check_free(check);
    (void)transfers_free(transfers);
    (void)sd_event_unref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_reports_that_count),
        cmocka_unit_test(test_reports_of_changes),
        cmocka_unit_test(test_what_was_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
