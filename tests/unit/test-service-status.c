/*
 * test-service-status.c - what a service manager is told: words, order and time, from plain views.
 */
#include "base/strv.h"
#include "master/service-status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND USEC_PER_SEC

static const struct service_program web = {
    .name = "web", .ready = 4, .wanted = 4, .generation = 3, .step = "rolling"};
static const struct service_program both[] = {
    {.name = "web", .ready = 4, .wanted = 4, .generation = 3, .step = "rolling_back"},
    {.name = "api", .ready = 2, .wanted = 4, .generation = 1},
};

static void expect(struct service_view view, const char *expected)
{
    char buffer[SERVICE_STATUS_SIZE];
    assert_string_equal(service_status_text(&view, buffer), expected);
}

static struct service_view one_program(void)
{
    return (struct service_view){.was_ready = true, .programs = &web, .n_programs = 1};
}

static struct service_view two_programs(void)
{
    return (struct service_view){.was_ready = true, .programs = both, .n_programs = 2};
}

static void test_words(void **state UNUSED)
{
    struct service_view view = one_program();
    expect(view, "4 of 4 ready, generation 3");
    expect(two_programs(), "6 of 8 ready: web 4 of 4 generation 3, api 2 of 4 generation 1");
    view.reload = 7;
    expect(view, "reload 7: web rolling; 4 of 4 ready");
    struct service_view several = two_programs();
    several.reload = 8;
    expect(several, "reload 8: web rolling back; 6 of 8 ready");
    view.checking = true;
    expect(view, "reload 7: checking; 4 of 4 ready");
    view = one_program();
    view.was_ready = false;
    expect(view, "starting: 4 of 4 ready");
    view.start_failure = "web/0 exited with 1 before it was ready";
    expect(view, "starting: 4 of 4 ready; web/0 exited with 1 before it was ready");
    view.stopping = true;
    view.leaving = 1;
    expect(view, "shutting down: 1 worker left");
    view.forced = true;
    view.leaving = 2;
    expect(view, "forced shutdown: 2 workers left");
}

static void test_last_reload(void **state UNUSED)
{
    struct reload_record record = {.request.id = 8, .result = RELOAD_ROLLED_BACK, .reason = (char *)"a\nb"};
    struct service_view view = one_program();
    view.ended = &record;
    expect(view, "reload 8 rolled back: a; 4 of 4 ready, generation 3");
    record.result = RELOAD_REFUSED;
    expect(view, "reload 8 refused: a; 4 of 4 ready, generation 3");
    record.result = RELOAD_DEGRADED;
    record.reason = NULL;
    expect(view, "reload 8 degraded: unknown reason; 4 of 4 ready, generation 3");
    record.result = RELOAD_COMMITTED;
    expect(view, "4 of 4 ready, generation 3");
}

static bool is_utf8(const char *text)
{
    CLEANUP_FREE char *copy = strdup(text);
    assert_non_null(copy);
    string_make_utf8(copy);
    return strcmp(copy, text) == 0;
}

static void test_bounds(void **state UNUSED)
{
    char reason[2000], buffer[SERVICE_STATUS_SIZE];
    struct reload_record record = {.request.id = 8, .result = RELOAD_REFUSED, .reason = reason};
    struct service_view view = one_program();
    view.ended = &record;
    for (size_t shift = 0; shift < 4; shift++) {
        memset(reason, 'x', sizeof(reason));
        for (size_t i = shift; i + 4 < sizeof(reason); i += 4)
            memcpy(reason + i, "\xf0\x9f\x98\x80", 4);
        reason[sizeof(reason) - 1] = '\0';
        (void)service_status_text(&view, buffer);
        assert_true(is_utf8(buffer));
        assert_non_null(strstr(buffer, "; 4 of 4 ready, generation 3"));
    }
    struct service_program many[256];
    char name[65];
    memset(name, 'n', 64);
    name[64] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = (struct service_program){.name = name,
                                           .ready = 1024,
                                           .wanted = 1024,
                                           .generation = UINT64_MAX,
                                           .step = "rolled_back"};
    view = (struct service_view){.was_ready = true, .programs = many, .n_programs = 256};
    for (view.reload = 0; view.reload < 2; view.reload++) {
        (void)service_status_text(&view, buffer);
        assert_true(strlen(buffer) < SERVICE_STATUS_SIZE - 1);
        assert_non_null(strstr(buffer, " more"));
    }
}

/* All that is heard from here on. */
static const char *hear(struct service_told *told, const struct service_view *view)
{
    static const char letters[] = {'-', 'R', 'L', 'S'};
    static char heard[8];
    size_t n = 0;
    struct service_told next;
    while (service_next(told, view, &next)) {
        assert_true(n + 1 < sizeof(heard));
        heard[n++] = letters[next.phase];
        *told = next;
    }
    heard[n] = '\0';
    return heard;
}

static void test_phases(void **state UNUSED)
{
    struct service_told told = {0};
    struct service_view view = {0};
    assert_string_equal(hear(&told, &view), "");
    view.was_ready = true;
    assert_string_equal(hear(&told, &view), "R");
    assert_string_equal(hear(&told, &view), "");
    view.reloads_taken = 1; /* refused, or over already */
    assert_string_equal(hear(&told, &view), "LR");
    view.reload = view.reloads_taken = 2;
    assert_string_equal(hear(&told, &view), "L");
    view.reload = view.reloads_taken = 3; /* superseded */
    assert_string_equal(hear(&told, &view), "L");
    view.reloads_taken = 4; /* refused, while 3 runs */
    assert_string_equal(hear(&told, &view), "L");
    assert_string_equal(hear(&told, &view), "");
    view.reload = 0;
    assert_string_equal(hear(&told, &view), "R");
    view.reload = view.reloads_taken = 5;
    assert_string_equal(hear(&told, &view), "L");
    view.reload = 0;
    view.stopping = true;
    assert_string_equal(hear(&told, &view), "S");
    assert_string_equal(hear(&told, &view), "");
}

static void test_phases_of_a_start(void **state UNUSED)
{
    struct service_told told = {0};
    struct service_view view = {.reload = 1, .reloads_taken = 1};
    assert_string_equal(hear(&told, &view), "");
    view.was_ready = true;
    assert_string_equal(hear(&told, &view), "RL");
    told = (struct service_told){0};
    view.reload = 0; /* it was over before */
    assert_string_equal(hear(&told, &view), "R");
    told = (struct service_told){0};
    view = (struct service_view){.stopping = true};
    assert_string_equal(hear(&told, &view), "S");
}

static uint64_t shutdown_of(const struct service_program *programs, size_t n, bool forced)
{
    const struct service_view view = {
        .stopping = true, .forced = forced, .programs = programs, .n_programs = n};
    return (service_until(&view, 1000 * SECOND) - 1000 * SECOND) / SECOND;
}

static void test_time_to_stop(void **state UNUSED)
{
    struct service_program programs[] = {
        {.priority = 1, .leave_usec = 10 * SECOND},
        {.priority = 2, .leave_usec = 20 * SECOND},
        {.priority = 2, .leave_usec = 40 * SECOND},
        {.priority = 3, .leave_usec = 100 * SECOND},
    };
    assert_int_equal(shutdown_of(programs, 4, false), 10 + 40 + 100);
    programs[3].told = true;
    programs[3].busy_until_usec = 1007 * SECOND;
    assert_int_equal(shutdown_of(programs, 4, false), 10 + 40 + 7);
    programs[3].busy_until_usec = 1300 * SECOND; /* granted */
    assert_int_equal(shutdown_of(programs, 4, false), 10 + 40 + 300);
    programs[3].empty = true;
    assert_int_equal(shutdown_of(programs, 4, false), 10 + 40);
    programs[3].empty = false;
    for (size_t i = 0; i < 3; i++) {
        programs[i].told = true;
        programs[i].busy_until_usec = (1000 + 10 * i) * SECOND;
    }
    assert_int_equal(shutdown_of(programs, 4, true), 300);
}

static void test_time_to_start_and_reload(void **state UNUSED)
{
    struct service_program programs[] = {
        {.wanted = 1, .start_usec = 60 * SECOND, .step_usec = 80 * SECOND},
        {.wanted = 1, .start_usec = 90 * SECOND, .step_usec = 50 * SECOND},
        {.wanted = 0, .start_usec = 900 * SECOND},
    };
    struct service_view view = {
        .started_usec = 1000 * SECOND, .programs = programs, .n_programs = ARRAY_SIZE(programs)};
    assert_int_equal(service_until(&view, 1080 * SECOND), 1090 * SECOND);
    programs[0].busy_until_usec = 1200 * SECOND;
    assert_int_equal(service_until(&view, 1080 * SECOND), 1200 * SECOND);
    view.was_ready = true;
    assert_int_equal(service_until(&view, 1080 * SECOND), 0);
    view.reload = 1;
    assert_int_equal(service_until(&view, 1080 * SECOND), (1200 + 80) * SECOND);
    programs[0].busy_until_usec = 0;
    assert_int_equal(service_until(&view, 1080 * SECOND), (1080 + 80) * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_last_reload),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_phases_of_a_start),
        cmocka_unit_test(test_time_to_stop),
        cmocka_unit_test(test_time_to_start_and_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
