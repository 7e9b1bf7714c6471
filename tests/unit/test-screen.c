/* test-screen.c - reloaderctl's text: made safe, measured, aligned and cut; events as lines; progress. */
#include "reloaderctl/event-text.h"
#include "reloaderctl/progress-wait.h"
#include "reloaderctl/progress.h"
#include "reloaderctl/screen.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void test_clean(UNUSED void **state)
{
    static const char *const cases[][2] = {
        {NULL, ""},
        {"213 connections", "213 connections"},
        {"a\x1b[2Jb", "a?[2Jb"},
        {"one\r\ntwo\tthree", "one  two three"},
        {"bell\x07 del\x7f", "bell? del?"},
        {"caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80"},
        {"C1 \xc2\x9b"
         "2J",
         "C1 ?2J"},
        {"\xe2\x80\xae"
         "evil",
         "?evil"},
        {"\xff\xc3", "??"},
        {"\xc0\xaf \xed\xa0\x80", "?? ???"},
        {"\xf5\x80\x80\x80", "????"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_FREE char *clean = text_clean(cases[i][0]);
        assert_string_equal(clean, cases[i][1]);
    }
}

static void test_width(UNUSED void **state)
{
    assert_int_equal(text_width(""), 0);
    assert_int_equal(text_width("caf\xc3\xa9"), 4);
    assert_int_equal(text_width("\xe6\x97\xa5x"), 3);
    assert_int_equal(text_width("e\xcc\x81"), 1);
    assert_int_equal(text_fit("caf\xc3\xa9s", 4), 5);
    assert_int_equal(text_fit("caf\xc3\xa9s", 100), 6);
    assert_int_equal(text_fit("a\xe6\x97\xa5", 2), 1);
}

static char *printed(const struct table *table, const struct screen *screen)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    table_print(table, screen, 2, stream);
    (void)fclose(stream);
    return text;
}

static void fill(struct table *table)
{
    static const char *const words[] = {"NAME", "PID",  "TEXT", "web/0", "7", "\xc3\xa9t\xc3\xa9",
                                        "a",    "4711", ""};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        table_add(table, i == 3 ? TONE_GOOD : TONE_PLAIN, "%s", words[i]);
}

static void test_table(UNUSED void **state)
{
    const struct screen plain = {.width = SIZE_MAX}, narrow = {.terminal = true, .width = 10},
                        colour = {.terminal = true, .colour = true, .width = 80};
    CLEANUP_TABLE struct table table = {.n_columns = 3, .right = 1 << 1};
    fill(&table);
    CLEANUP_FREE char *wide = printed(&table, &plain), *cut = printed(&table, &narrow),
                      *toned = printed(&table, &colour);
    assert_string_equal(wide, "  NAME    PID  TEXT\n"
                              "  web/0     7  \xc3\xa9t\xc3\xa9\n"
                              "  a      4711\n");
    assert_string_equal(cut, "  NAME\n  web/0\n  a      4\n");
    assert_non_null(strstr(toned, "  \x1b[32mweb/0\x1b[0m     7"));
}

/* What is left out first goes first, and only as far as is needed; text at the end is rather cut. */
static void test_narrow_table(UNUSED void **state)
{
    static const size_t expendable[] = {1, 2};
    static const struct {
        size_t width;
        const char *line;
    } cases[] = {
        {29, "  worker-0  7  says something\n"},
        {23, "  worker-0  7  says som\n"},
        {22, "  worker-0  says somet\n"},
        {20, "  worker-0  says som\n"},
        {19, "  worker-0\n"},
        {6, "  work\n"},
    };
    CLEANUP_TABLE struct table table = {
        .n_columns = 3, .right = 1 << 1, TABLE_EXPENDABLE(expendable)};
    table_add(&table, TONE_PLAIN, "worker-0");
    table_add(&table, TONE_PLAIN, "7");
    table_add(&table, TONE_PLAIN, "says something");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct screen screen = {.terminal = true, .width = cases[i].width};
        CLEANUP_FREE char *line = printed(&table, &screen);
        assert_string_equal(line, cases[i].line);
        assert_true(strlen(line) <= cases[i].width + 1);
    }
}

static void assert_event(const char *json, const char *wanted)
{
    json_auto_t *event = json_loads(json, 0, NULL);
    assert_non_null(event);
    CLEANUP_FREE char *text = event_text(event);
    assert_string_equal(text, wanted);
}

static void test_event_text(UNUSED void **state)
{
    assert_event(
        "{\"type\":\"worker\",\"name\":\"web/2\",\"pid\":4711,\"generation\":6,\"old\":\"READY\","
        "\"new\":\"DRAINING\",\"reason\":\"reload 7\"}",
        "worker web/2: READY -> DRAINING, pid 4711, generation 6 (reload 7)");
    assert_event(
        "{\"type\":\"worker\",\"name\":\"a\\u001b[m\",\"old\":\"NONE\",\"new\":\"STARTING\"}",
        "worker a?[m: STARTING");
    assert_event("{\"type\":\"reload\",\"id\":7,\"state\":\"ended\",\"result\":\"refused\","
                 "\"reason\":\"why\"}",
                 "reload 7 ended: refused (why)");
    assert_event(
        "{\"type\":\"rollout\",\"program\":\"web\",\"step\":\"canary\",\"ready\":1,\"workers\":4}",
        "rollout web: canary, 1 of 4 ready");
    assert_event("{\"type\":\"message\",\"time_usec\":1,\"value\":{\"x\":\"\\u001b\"},\"name\":"
                 "\"w\\n\",\"n\":null}",
                 "message w : {\"x\":\"\\u001B\"}");
    assert_event("{}", "");
}

static void tell(struct progress *progress, const char *program, int slot, int generation,
                 const char *new)
{
    json_auto_t *event = json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "type", "worker", "program",
                                   program, "name", "w", "slot", slot, "generation", generation,
                                   "new", new);
    progress_event(progress, event);
}

static void start(struct progress *progress)
{
    json_auto_t *status = json_loads(
        "{\"programs\":[{\"name\":\"web\",\"generation\":3,\"slots\":[{},{},{}]},"
        "{\"name\":\"none\",\"generation\":1,\"slots\":[]}]}",
        0, NULL);
    progress_init(progress, status);
}

static void test_progress(UNUSED void **state)
{
    CLEANUP_PROGRESS struct progress progress = {0};
    start(&progress);
    assert_int_equal(progress.n_programs, 2);
    assert_true(progress.programs[0].taken && !progress.programs[1].taken);
    tell(&progress, "web", 0, 3, "DRAINING");
    tell(&progress, "web", 0, 4, "STARTING");
    assert_int_equal(progress_moved(&progress.programs[0]), 0);
    tell(&progress, "web", 0, 4, "READY");
    tell(&progress, "web", 1, 4, "READY");
    tell(&progress, "other", 2, 4, "READY");
    tell(&progress, "web", 77, 4, "READY");
    assert_int_equal(progress_moved(&progress.programs[0]), 2);
    tell(&progress, "web", 1, 3, "GONE");
    assert_int_equal(progress_moved(&progress.programs[0]), 2);
    tell(&progress, "web", 1, 3, "READY");
    tell(&progress, "web", 0, 4, "STOPPING");
    assert_int_equal(progress_moved(&progress.programs[0]), 0);
    assert_string_equal(progress.programs[0].latest, "w STOPPING");
}

static void test_progress_of_more_workers(UNUSED void **state)
{
    CLEANUP_PROGRESS struct progress progress = {0};
    start(&progress);
    tell(&progress, "web", 2, 4, "READY");
    json_auto_t *event = json_pack("{s:s, s:s, s:s, s:i}", "type", "rollout", "program", "web",
                                   "step", "rolling_back", "workers", 5);
    progress_event(&progress, event);
    tell(&progress, "web", 4, 4, "READY");
    assert_int_equal(progress.programs[0].n_slots, 5);
    assert_int_equal(progress_moved(&progress.programs[0]), 2);
    assert_string_equal(progress.programs[0].step, "rolling back");
}

/* More of them than before: the canary is in one that is not known yet. */
static void test_progress_of_a_canary_in_a_slot_of_its_own(UNUSED void **state)
{
    CLEANUP_PROGRESS struct progress progress = {0};
    start(&progress);
    tell(&progress, "web", 3, 4, "READY");
    assert_int_equal(progress_total(&progress.programs[0]), 3);
    assert_int_equal(progress_moved(&progress.programs[0]), 0);
    json_auto_t *event = json_pack("{s:s, s:s, s:s, s:i}", "type", "rollout", "program", "web",
                                   "step", "rolling", "workers", 4);
    progress_event(&progress, event);
    assert_int_equal(progress_total(&progress.programs[0]), 4);
    assert_int_equal(progress_moved(&progress.programs[0]), 1);
}

static void test_progress_result(UNUSED void **state)
{
    CLEANUP_PROGRESS struct progress progress = {0};
    start(&progress);
    tell(&progress, "web", 2, 4, "READY");
    json_auto_t *result = json_loads(
        "{\"programs\":[{\"name\":\"web\",\"result\":\"rolled_back\",\"reason\":\"a\\nb\"},"
        "{\"name\":\"other\"},{}]}",
        0, NULL);
    progress_result(&progress, result);
    assert_string_equal(progress.programs[0].step, "rolled back");
    assert_string_equal(progress.programs[0].latest, "a b");
}

static char *drawn(struct progress *progress, const struct screen *screen)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    progress_draw(progress, screen, 1500000, stream);
    (void)fclose(stream);
    return text;
}

static void test_progress_drawing(UNUSED void **state)
{
    const struct screen wide = {.terminal = true, .width = 40, .height = 10},
                        narrow = {.terminal = true, .width = 12, .height = 4};
    CLEANUP_PROGRESS struct progress progress = {0};
    start(&progress);
    tell(&progress, "web", 0, 4, "READY");
    CLEANUP_FREE char *first = drawn(&progress, &wide), *second = drawn(&progress, &narrow);
    assert_string_equal(first,
                        "\x1b[2Kweb  [#---]  1 of 3             w READY\n\x1b[2K1.5 s\n\x1b[J");
    /* The first line was 39 columns wide: a terminal of 12 shows it in 4 rows, of which 3 are still there with the other one. */
    assert_string_equal(second, "\x1b[3A\r\x1b[2Kweb  [-]  1\n\x1b[2K1.5 s\n\x1b[J");
}

static json_t *status_of(const char *slots)
{
    CLEANUP_FREE char *text = NULL;
    assert_true(asprintf(&text,
                         "{\"programs\":[{\"name\":\"web\",\"generation\":3,\"slots\":[%s]},"
                         "{\"name\":\"\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5"
                         "\",\"generation\":3,\"slots\":[{}]}]}",
                         slots) > 0);
    json_t *status = json_loads(text, 0, NULL);
    assert_non_null(status);
    return status;
}

#define WORKER(pid, state) "{\"pid\":" pid ",\"state\":\"" state "\"}"
#define SLOT(workers)      "{\"state\":\"x\",\"workers\":[" workers "]}"

static size_t moved_by(enum progress_goal goal, const char *targets, const char *slots)
{
    CLEANUP_PROGRESS struct progress progress = {0};
    json_auto_t *before = status_of(SLOT(WORKER("1", "READY")) "," SLOT(WORKER("2", "READY"))),
                *now = status_of(slots), *list = json_loads(targets, 0, NULL);
    progress_init(&progress, before);
    progress_aim(&progress, goal, list);
    progress_look(&progress, now);
    assert_false(progress.programs[1].taken);
    return progress_moved(&progress.programs[0]) * 10 + progress_total(&progress.programs[0]);
}

static void test_progress_of_goals(UNUSED void **state)
{
    const char all[] = "[{\"program\":\"web\"}]",
               second[] = "[{\"program\":\"web\",\"slot\":1},{\"program\":\"none\"}]";
    const char slots[] = SLOT(WORKER("1", "DRAINING") "," WORKER("3", "READY")) "," SLOT("");
    assert_int_equal(moved_by(PROGRESS_READY, all, slots), 12);
    assert_int_equal(moved_by(PROGRESS_REPLACED, all, slots), 12);
    assert_int_equal(moved_by(PROGRESS_REPLACED, second, slots), 1);
    assert_int_equal(moved_by(PROGRESS_REPLACED, all, SLOT(WORKER("1", "READY"))), 2);
    assert_int_equal(moved_by(PROGRESS_GONE, all, slots), 12);
    assert_int_equal(moved_by(PROGRESS_GONE, second, slots), 11);
    /* Nothing is there any more: no slot, so nobody in it. */
    assert_int_equal(moved_by(PROGRESS_GONE, all, ""), 22);
    assert_int_equal(moved_by(PROGRESS_READY, all, SLOT("") "," SLOT("") "," SLOT("")), 3);
    assert_int_equal(moved_by(PROGRESS_READY, all, "{\"state\":\"EXITED\",\"workers\":[]}"), 12);
}

static void assert_waits(const char *slots, const char *wanted)
{
    json_auto_t *status = status_of(slots);
    CLEANUP_FREE char *text = progress_wait_text(
        json_array_get(json_object_get(status, "programs"), 0));
    if (wanted)
        assert_string_equal(text, wanted);
    else
        assert_null(text);
}

static void test_progress_wait(UNUSED void **state)
{
    assert_waits(SLOT(WORKER("1", "READY")), NULL);
    assert_waits("{\"slot\":2,\"state\":\"x\",\"workers\":[{\"state\":\"DRAINING\",\"connections\":"
                 "3,\"left_usec\":7400000}]}",
                 "slot 2 draining, 3 connections, 7.4 s left");
    assert_waits(
        SLOT("{\"state\":\"STARTING\",\"left_usec\":9000000}") ","
                                                               "{\"slot\":1,\"workers\":[{"
                                                               "\"state\":\"DRAINING\","
                                                               "\"connections\":1,\"text\":"
                                                               "\"\\u001b[2J\"}]},{\"slot\":2,"
                                                               "\"workers\":[{\"state\":"
                                                               "\"DRAINING\"}]}",
        "slot 1 draining, 1 connection, \"?[2J\", and 1 more");
    assert_waits("{\"slot\":4,\"state\":\"BACKOFF\",\"workers\":[]}",
                 "slot 4 waits for its next start");
}

/* Wide characters: none is cut in half, and no line is wider than the screen. */
static void test_progress_of_wide_names(UNUSED void **state)
{
    CLEANUP_PROGRESS struct progress progress = {0};
    json_auto_t *status = status_of(SLOT(WORKER("1", "READY")));
    progress_init(&progress, status);
    for (size_t width = 4; width < 60; width++) {
        const struct screen screen = {.terminal = true, .width = width, .height = 10};
        progress.n_drawn = 0;
        CLEANUP_FREE char *text = drawn(&progress, &screen);
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            assert_true(text_width(line + strlen("\x1b[2K")) < width);
        }
    }
    const struct screen screen = {.terminal = true, .width = 36, .height = 10};
    progress.n_drawn = 0;
    CLEANUP_FREE char *text = drawn(&progress, &screen);
    assert_non_null(strstr(text, "\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac~  [---]"));
}

static void test_progress_of_many_programs(UNUSED void **state)
{
    const struct screen screen = {.terminal = true, .width = 40, .height = 5};
    CLEANUP_PROGRESS struct progress progress = {0};
    json_auto_t *status = json_object(), *programs = json_array();
    for (int i = 0; i < 9; i++) {
        json_t *name = json_sprintf("p%d", i);
        (void)json_array_append_new(
            programs, json_pack("{s:o, s:i, s:[{}]}", "name", name, "generation", 1, "slots"));
    }
    (void)json_object_set(status, "programs", programs);
    progress_init(&progress, status);
    tell(&progress, "p0", 0, 2, "READY");
    CLEANUP_FREE char *text = drawn(&progress, &screen);
    assert_string_equal(text, "\x1b[2Kp1  [----]  0 of 1  \n\x1b[2Kp2  [----]  0 of 1  \n"
                              "\x1b[2K1.5 s, and 7 programs more\n\x1b[J");
    json_auto_t *now = json_pack("{s:[{s:s, s:[{s:s, s:[]}]}]}", "programs", "name", "p7", "slots",
                                 "state", "BACKOFF", "workers");
    progress_look(&progress, now);
    CLEANUP_FREE char *next = drawn(&progress, &screen);
    assert_string_equal(next, "\x1b[3A\r\x1b[2Kp1  [----]  0 of 1  \n"
                              "\x1b[2Kp7  [----]  0 of 1  slot 0 waits for it\n"
                              "\x1b[2K1.5 s, and 7 programs more\n\x1b[J");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_narrow_table),
        cmocka_unit_test(test_event_text),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_progress_of_more_workers),
        cmocka_unit_test(test_progress_of_a_canary_in_a_slot_of_its_own),
        cmocka_unit_test(test_progress_result),
        cmocka_unit_test(test_progress_drawing),
        cmocka_unit_test(test_progress_of_goals),
        cmocka_unit_test(test_progress_wait),
        cmocka_unit_test(test_progress_of_wide_names),
        cmocka_unit_test(test_progress_of_many_programs),
    };
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
