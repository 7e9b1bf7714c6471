/* test-gateway-plain.c - what the gateway's plain paths and probes say: of a status, a result or an error; and what it measures. */
#include "gateway/plain-stats.h"
#include "gateway/plain.h"
#include "gateway/probes.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

/* Stats */

struct process {
    pid_t pid, parent;
    struct usage_sample sample;
};

static const struct process processes[] = {
    {1, 0, {.cpu = 25, .memory = 5 << 20}},
    {20, 1, {.cpu = 9987, .memory = (10 << 20) + (1 << 19)}},
    {21, 1, {.cpu = 10000, .memory = (3 << 20) - 1}},
    {22, 7, {.cpu = 1, .memory = 1}},
};

static int look(pid_t pid, pid_t parent, struct usage_sample *ret, void *userdata)
{
    assert_null(userdata);
    for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
        if (processes[i].pid == pid && (parent == 0 || processes[i].parent == parent)) {
            *ret = processes[i].sample;
            return 0;
        }
    return -ESRCH;
}

static void check_stats(const char *status, const char *expected)
{
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    json_auto_t *parsed = parse(status);
    assert_int_equal(plain_print_stats(parsed, look, NULL, &text, &size), 0);
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
}

/* A worker that has gone, and one whose pid another process has by now, are not there. */
static void test_stats(UNUSED void **state)
{
    check_stats(
        "{\"master\":{\"pid\":1,\"uptime_usec\":93784999999},\"programs\":["
        "{\"slots\":[{\"workers\":[]},{\"workers\":[{\"pid\":99},{\"pid\":20},{\"pid\":22}]}]},"
        "{\"slots\":[{\"workers\":[{\"pid\":21}]}]}],"
        "\"gateway\":{\"program\":{\"slots\":[{\"workers\":[{\"pid\":20}]}]}}}",
        "{\"result\":{\"master\":{\"pid\":1,\"cpu\":0.25,\"mem\":5.00,"
        "\"uptime\":{\"days\":1,\"hours\":2,\"minutes\":3,\"seconds\":4}},"
        "\"workers\":[{\"pid\":20,\"cpu\":99.87,\"mem\":10.50},{\"pid\":21,\"cpu\":100.00,"
        "\"mem\":3.00}],\"total\":{\"cpu\":200.12,\"mem\":18.50}}}");
}

static void test_stats_without_workers(UNUSED void **state)
{
    check_stats("{\"master\":{\"pid\":1},\"programs\":[]}",
                "{\"result\":{\"master\":{\"pid\":1,\"cpu\":0.25,\"mem\":5.00,"
                "\"uptime\":{\"days\":0,\"hours\":0,\"minutes\":0,\"seconds\":0}},"
                "\"workers\":[],\"total\":{\"cpu\":0.25,\"mem\":5.00}}}");
}

static void test_stats_of_nothing(UNUSED void **state)
{
    char *text = NULL;
    size_t size;
    json_auto_t *none = parse("{}"), *hidden = parse("{\"master\":{\"pid\":77}}");
    assert_int_equal(plain_print_stats(none, look, NULL, &text, &size), -EBADMSG);
    assert_int_equal(plain_print_stats(hidden, look, NULL, &text, &size), -ESRCH);
    assert_null(text);
}

/* Results and errors */

static void check_reload(const char *parameters, unsigned status, const char *expected)
{
    json_auto_t *parsed = parse(parameters);
    CLEANUP_FREE char *text = NULL;
    assert_int_equal(plain_judge_reload(parsed, &text), status);
    assert_string_equal(text, expected);
}

static void test_reload(UNUSED void **state)
{
    check_reload("{\"id\":1,\"result\":\"committed\"}", 200, "committed");
    check_reload("{\"result\":\"refused\",\"reason\":\"line 3: no such key\"}", 409,
                 "the configuration is refused: line 3: no such key");
    check_reload("{\"result\":\"superseded\"}", 409, "a newer reload took its place");
    check_reload("{\"result\":\"rolled_back\",\"reason\":\"web/0 exited\"}", 500,
                 "rolled back: web/0 exited");
    check_reload("{\"result\":\"degraded\"}", 500, "degraded: not all could be rolled back");
    check_reload("{\"result\":\"new\"}", 500, "the reload did not end as it should");
    check_reload("{}", 500, "the reload did not end as it should");
}

static void check_error(const char *error, const char *parameters, unsigned status,
                        const char *expected)
{
    json_auto_t *parsed = parse(parameters);
    CLEANUP_FREE char *text = NULL;
    const struct link_reply reply = {.error = error, .parameters = parsed};
    assert_int_equal(plain_judge_error(&reply, &text), status);
    assert_string_equal(text, expected);
}

static void test_error(UNUSED void **state)
{
    check_error(LINK_ERROR_GONE, "{}", 503, "the master is gone");
    check_error(LINK_ERROR_BUSY, "{}", 503, "too much is asked of the master at once; try again");
    check_error(LINK_ERROR_TIMEOUT, "{}", 504,
                "the master does not answer; is it stopped or busy?");
    check_error("io.reloader.Control.ShuttingDown", "{}", 503, "the master is shutting down");
    check_error("io.reloader.Control.Failed", "{\"reason\":\"no room\"}", 500, "no room");
    check_error("a.b.C", "{}", 500, "the master says a.b.C");
}

/* Readiness */

static void check_ready(const char *status, const char *expected)
{
    json_auto_t *parsed = parse(status);
    bool ready = !expected;
    CLEANUP_FREE char *text = probes_judge(parsed, &ready);
    assert_int_equal(ready, !expected);
    if (expected)
        assert_string_equal(text, expected);
    else
        assert_null(text);
}

#define STATUS(master, programs)                                                                   \
    "{\"master\":{\"state\":\"" master "\"},\"programs\":[" programs "]}"
#define PROGRAM(name, state, ready, workers)                                                       \
    "{\"name\":\"" name "\",\"state\":\"" state "\",\"ready\":" ready ",\"workers\":" workers "}"

static void test_ready(UNUSED void **state)
{
    check_ready(STATUS("running", ""), NULL);
    check_ready(
        STATUS("running", PROGRAM("a", "READY", "2", "2") "," PROGRAM("b", "STOPPED", "0", "1")),
        NULL);
    check_ready(
        STATUS("running", PROGRAM("a", "EXITED", "0", "1") "," PROGRAM("b", "STOPPING", "0", "1")),
        NULL);
    check_ready(STATUS("reloading", PROGRAM("a", "RELOADING", "1", "4")), NULL);
    check_ready(STATUS("reloading", PROGRAM("a", "ROLLING_BACK", "1", "4")), NULL);
    check_ready(STATUS("running", PROGRAM("a", "RELOADING", "0", "0")), NULL);
}

static void test_not_ready(UNUSED void **state)
{
    check_ready("{}", "the master is ");
    check_ready(STATUS("stopping", PROGRAM("a", "READY", "1", "1")), "the master is stopping");
    check_ready(STATUS("starting", PROGRAM("a", "READY", "1", "1")), "the master is starting");
    check_ready(STATUS("starting", PROGRAM("a", "STARTING", "0", "2")),
                "a is STARTING: 0 of 2 workers are ready");
    check_ready(STATUS("reloading", PROGRAM("a", "RELOADING", "0", "4")),
                "a is RELOADING: 0 of 4 workers are ready");
    check_ready(STATUS("running", PROGRAM("a", "PARTIAL", "3", "4") "," PROGRAM(
                                      "b", "READY", "1", "1") "," PROGRAM("c", "FATAL", "0", "1")),
                "a is PARTIAL: 3 of 4 workers are ready, and 1 more");
    check_ready(STATUS("running", PROGRAM("a", "WAITING", "0", "1")),
                "a is WAITING: 0 of 1 workers are ready");
    check_ready(STATUS("running", PROGRAM("a", "NEW", "1", "1")),
                "a is NEW: 1 of 1 workers are ready");
}

/* Usage */

#define SECOND USEC_PER_SEC

static uint64_t measure(struct usage_mark *mark, uint64_t now_usec, uint64_t cpu_usec)
{
    const struct process_usage look = {.start_usec = 10 * SECOND, .cpu_usec = cpu_usec};
    return usage_measure(mark, &look, now_usec);
}

static void test_percent(UNUSED void **state)
{
    assert_int_equal(usage_percent(1, 0), 0);
    assert_int_equal(usage_percent(1, 3), 3333);
    assert_int_equal(usage_percent(2, 3), 6667);
    assert_int_equal(usage_percent(4 * SECOND, SECOND), 40000);
    assert_int_equal(usage_percent(UINT64_MAX / 4, UINT64_MAX / 4), 10000);
}

/* The window: since the process began, then since the last look, but never less than a second. */
static void test_window(UNUSED void **state)
{
    struct usage_mark mark = {.pid = 5, .start_usec = UINT64_MAX};
    assert_int_equal(measure(&mark, 20 * SECOND, SECOND), 1000);
    assert_int_equal(measure(&mark, 20 * SECOND + SECOND / 2, SECOND + SECOND / 2), 1429);
    assert_int_equal(measure(&mark, 21 * SECOND, 2 * SECOND), 10000);
    assert_int_equal(measure(&mark, 21 * SECOND + SECOND / 2, 2 * SECOND), 6667);
    assert_int_equal(measure(&mark, 22 * SECOND, 2 * SECOND), 0);
    assert_int_equal(measure(&mark, 32 * SECOND, 7 * SECOND), 5000);
    assert_int_equal(mark.pid, 5);
}

/* Another process, and clocks that went back. */
static void test_another_process(UNUSED void **state)
{
    struct usage_mark mark = {.pid = 5, .start_usec = UINT64_MAX};
    (void)measure(&mark, 20 * SECOND, 5 * SECOND);
    const struct process_usage other = {.start_usec = 29 * SECOND, .cpu_usec = SECOND / 2};
    assert_int_equal(usage_measure(&mark, &other, 30 * SECOND), 5000);
    assert_int_equal(usage_measure(&mark, &other, 31 * SECOND), 0);
    assert_int_equal(measure(&mark, 40 * SECOND, 3 * SECOND), 1000);
    assert_int_equal(measure(&mark, 40 * SECOND, 2 * SECOND), 667);
    assert_int_equal(measure(&mark, 30 * SECOND, 2 * SECOND), 1000);
    assert_int_equal(measure(&mark, 9 * SECOND, 2 * SECOND), 0);
}

static void test_look(UNUSED void **state)
{
    CLEANUP(usage_freep) struct usage *usage = NULL;
    struct usage_sample sample;
    assert_int_equal(usage_new(&usage), 0);
    assert_int_equal(usage_look(usage, getpid(), 0, &sample), 0);
    assert_true(sample.memory > 0 && sample.start_usec > 0);
    assert_int_equal(usage_look(usage, getpid(), getppid(), &sample), 0);
    assert_int_equal(usage_look(usage, getpid(), getpid(), &sample), -ESRCH);
    assert_int_equal(usage_look(usage, 0, 0, &sample), -ESRCH);
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            (void)pause();
    }
    assert_int_equal(usage_look(usage, child, getpid(), &sample), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    /* The last look is good for a while. */
    uint64_t end = clock_monotonic_usec() + 20 * SECOND;
    while (usage_look(usage, child, getpid(), &sample) == 0)
        assert_true(clock_monotonic_usec() < end);
    assert_int_equal(usage_look(usage, child, getpid(), &sample), -ESRCH);
}

/* Many that come and go: it does not grow with them, and those that stay are found. */
static void test_many_processes(UNUSED void **state)
{
    CLEANUP(usage_freep) struct usage *usage = NULL;
    struct usage_sample sample;
    assert_int_equal(usage_new(&usage), 0);
    for (unsigned i = 0; i < 600; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        assert_int_equal(usage_look(usage, child, getpid(), &sample), 0);
        assert_int_equal(usage_look(usage, getpid(), 0, &sample), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    assert_true(usage_remembered(usage) < 600);
    assert_true(usage_remembered(usage) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_stats_without_workers),
        cmocka_unit_test(test_stats_of_nothing),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_another_process),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_many_processes),
    };
    return cmocka_run_group_tests_name("gateway-plain", tests, NULL, NULL);
}
