/*
 * test-metrics.c - what /metrics says of a Status: word for word, and what is left out. METRICS_SAMPLES is the directory of samples; with UPDATE_SAMPLES=1 in the
 * environment they are written anew, to be read before they are committed.
 */
#include "base/fd.h"
#include "base/strv.h"
#include "gateway/exposition.h"
#include "gateway/metrics.h"
#include "program/program.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define SAMPLE_MAX ((size_t)1 << 20)

static char *sample_path(const char *name)
{
    char *path = string_format("%s/%s", getenv("METRICS_SAMPLES"), name);
    assert_non_null(path);
    return path;
}

static json_t *load_status(void)
{
    json_error_t error;
    CLEANUP_FREE char *path = sample_path("status.json");
    json_t *status = json_load_file(path, 0, &error);
    assert_non_null(status);
    return status;
}

static char *render(const struct metrics_source *source, bool openmetrics)
{
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(metrics_render(source, openmetrics, &text, &size), 0);
    assert_int_equal(strlen(text), size);
    return text;
}

static struct metrics_process processes[] = {
    {.pid = 100, .usage = {.start_usec = 90000000, .cpu_usec = 1250000, .memory = 4096000}},
    {.pid = 101, .usage = {.start_usec = 91000000, .cpu_usec = 20000, .memory = 8192}},
    {.pid = 110, .usage = {.start_usec = 92000000, .cpu_usec = 3000000, .memory = 12345}},
    {.pid = 210, .usage = {.start_usec = 99990000, .cpu_usec = 0, .memory = 0}},
    {.pid = 400, .usage = {.start_usec = 93000000, .cpu_usec = 70000, .memory = 5000}},
    {.pid = 410, .usage = {.start_usec = 99000000, .cpu_usec = 10000, .memory = 6000}},
};
static const struct metrics_processes looked = {
    .list = processes, .n = ARRAY_SIZE(processes), .booted_usec = 1700000000 * USEC_PER_SEC};

static void expect_sample(const char *name, const char *text)
{
    CLEANUP_FREE char *path = sample_path(name), *wanted = NULL;
    size_t size;
    if (getenv("UPDATE_SAMPLES")) {
        FILE *stream = fopen(path, "w");
        assert_non_null(stream);
        assert_true(fputs(text, stream) >= 0 && fclose(stream) == 0);
    }
    assert_int_equal(fd_read_file(path, SAMPLE_MAX, &wanted, &size), 0);
    assert_string_equal(text, wanted);
}

static void test_samples(UNUSED void **state)
{
    json_t *status = load_status();
    const struct metrics_source source = {
        .status = status, .processes = &looked, .connections = 17};
    CLEANUP_FREE char *openmetrics = render(&source, true), *text = render(&source, false);
    expect_sample("openmetrics.txt", openmetrics);
    expect_sample("text.txt", text);
    json_decref(status);
}

static void test_no_master(UNUSED void **state)
{
    const struct metrics_processes none = {0};
    const struct metrics_source source = {.processes = &none, .connections = 1};
    CLEANUP_FREE char *text = render(&source, true);
    expect_sample("no-master.txt", text);
}

/* A master of another version may say less. */
static void test_little(UNUSED void **state)
{
    static const char *const little[] = {
        "{}",
        "{\"master\": 7, \"reload\": [], \"programs\": {}, \"listeners\": \"x\"}",
        "{\"programs\": [{}, 5, {\"name\": \"a\", \"slots\": [{}, {\"slot\": 1}]}], \"strays\": 4}",
        "{\"programs\": [{\"slots\": [{\"slot\": 1, \"workers\": [{}, {\"pid\": -4}]}]}]}",
        "{\"listeners\": [{}]}",
        "{\"master\": {\"loop_delays\": [{\"count\": 1}], \"reloads\": [{\"result\": \"x\"}]}}",
    };
    const struct metrics_processes none = {0};
    for (size_t i = 0; i < ARRAY_SIZE(little); i++) {
        json_t *status = json_loads(little[i], 0, NULL);
        assert_non_null(status);
        const struct metrics_source source = {.status = status, .processes = &none};
        CLEANUP_FREE char *text = render(&source, true);
        assert_non_null(strstr(text, "\nreloader_up 1\n"));
        assert_null(strstr(text, "loop_delay"));
        assert_null(strstr(text, "reloader_reloads"));
        assert_string_equal(text + strlen(text) - 6, "# EOF\n");
        json_decref(status);
    }
}

/* Each state that a slot can be in is told of each slot. */
static void test_slot_states(UNUSED void **state)
{
    json_t *status = load_status();
    const struct metrics_source source = {.status = status, .processes = &looked};
    CLEANUP_FREE char *text = render(&source, true);
    for (enum slot_state slot = SLOT_STOPPED; slot <= SLOT_FATAL; slot++) {
        CLEANUP_FREE char *sample = string_format(
            "reloader_worker_state{program=\"web\",slot=\"1\",state=\"%s\"} %d\n",
            slot_state_to_string(slot), slot == SLOT_BACKOFF);
        if (!strstr(text, sample))
            fail_msg("there is no %s", sample);
    }
    json_decref(status);
}

static void test_accept(UNUSED void **state)
{
    static const struct {
        const char *accept;
        bool wanted;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"application/openmetrics-text", true},
        {"Application/OpenMetrics-Text;version=1.0.0", true},
        {"application/openmetrics-text; version=1.0.0; charset=utf-8", true},
        {"application/openmetrics-text;version=1.0.0,application/"
         "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"text/plain;q=0.5 , application/openmetrics-text ; q=0.7", true},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text; version=1.0.0; q=0.0, text/plain", false},
        {"application/openmetrics-text;q=0, application/openmetrics-text;q=0.1", true},
        {"application/openmetrics-textual", false},
        {"application/openmetrics", false},
        {"x/application/openmetrics-text", false},
        {",,;;,;q=,", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (exposition_is_wanted(cases[i].accept) != cases[i].wanted)
            fail_msg("wrong about Accept: %s", cases[i].accept);
}

static json_t *make_many(size_t n_workers)
{
    json_t *slots = json_array();
    for (size_t i = 0; i < n_workers; i++)
        (void)json_array_append_new(slots, json_pack("{s:I, s:s, s:i, s:[{s:i, s:i, s:s}]}", "slot",
                                                     (json_int_t)i, "state", "READY", "restarts", 3,
                                                     "workers", "pid", (int)getpid(), "generation",
                                                     4, "state", "READY"));
    return json_pack("{s:{s:i}, s:[{s:s, s:s, s:i, s:i, s:i, s:o}]}", "master", "pid",
                     (int)getppid(), "programs", "name", "frontend", "state", "READY", "generation",
                     4, "workers", (int)n_workers, "ready", (int)n_workers, "slots", slots);
}

/* The size that metrics.h promises, and no more than a linear time: this takes minutes where it is not. */
static void test_many(UNUSED void **state)
{
    CLEANUP_METRICS_PROCESSES struct metrics_processes seen = {0};
    const size_t n = 20000;
    json_t *status = make_many(n);
    const struct metrics_source source = {.status = status, .processes = &seen};
    assert_int_equal(metrics_look(status, &seen), 0);
    assert_int_equal(seen.n, n + 1);
    CLEANUP_FREE char *text = render(&source, true);
    assert_true(strlen(text) < n * 1100);
    json_decref(status);
}

/* Of this very process, beside what other calls say of it. */
static void test_look(UNUSED void **state)
{
    CLEANUP_METRICS_PROCESSES struct metrics_processes seen = {0};
    json_t *status = json_pack("{s:{s:i, s:{s:i}}}", "master", "pid", (int)getpid(), "logger",
                               "pid", 0);
    struct timespec boot, now;
    assert_int_equal(metrics_look(status, &seen), 0);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.list[0].pid, getpid());
    assert_int_equal(seen.list[0].usage.parent, getppid());
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    assert_in_range(seen.booted_usec / USEC_PER_SEC, (uint64_t)(now.tv_sec - boot.tv_sec) - 2,
                    (uint64_t)(now.tv_sec - boot.tv_sec) + 2);
    json_decref(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_no_master),
        cmocka_unit_test(test_little),  cmocka_unit_test(test_slot_states),
        cmocka_unit_test(test_accept),  cmocka_unit_test(test_many),
        cmocka_unit_test(test_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
