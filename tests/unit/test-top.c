/* test-top.c - what `top` shows: graphs, what became of workers since the last look, their order, the frame; and keys. */
#include "reloaderctl/graph.h"
#include "reloaderctl/numbers.h"
#include "reloaderctl/terminal.h"
#include "reloaderctl/top-frame.h"

#include <inttypes.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Graphs */

static void test_graph(UNUSED void **state)
{
    char text[GRAPH_TEXT_SIZE];
    struct graph graph = {0};
    assert_string_equal(graph_to_text(&graph, 100, false, text), "");
    const double samples[] = {0, 0.1, 50, 99, 100, -1, 13};
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        graph_add(&graph, samples[i]);
    assert_string_equal(graph_to_text(&graph, 100, false, text), "_.=## .");
    assert_string_equal(graph_to_text(&graph, 100, true, text), "▁▂▅██ ▂");
    graph_add(&graph, 400);
    assert_string_equal(graph_to_text(&graph, 100, false, text), "_..:: .#");
}

static void test_graph_moves(UNUSED void **state)
{
    char text[GRAPH_TEXT_SIZE];
    struct graph graph = {0};
    for (size_t i = 0; i < GRAPH_SAMPLES + 3; i++)
        graph_add(&graph, i < 4 ? 100 : 0);
    assert_int_equal(graph.n, GRAPH_SAMPLES);
    assert_string_equal(graph_to_text(&graph, 100, false, text), "#_______________");
}

static void test_percent(UNUSED void **state)
{
    assert_true(numbers_percent(0, 0) == 0);
    assert_true(numbers_percent(1, 3) == 33.33);
    assert_true(numbers_percent(4000000, 1000000) == 400);
}

/* A child's: nobody is left when its test fails. */
__attribute__((noreturn)) static void wait_for_the_end(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        (void)pause();
}

static bool has_numbers(json_t *status, pid_t peer, const char *place)
{
    numbers_add(status, peer, false);
    json_t *slots = json_object_get(json_array_get(json_object_get(status, "programs"), 0),
                                    "slots"),
           *workers = json_object_get(json_array_get(slots, 0), "workers"),
           *object = strcmp(place, "master") == 0 ? json_object_get(status, place)
                                                  : json_array_get(workers, 0);
    assert_non_null(object);
    return json_object_get(object, "memory") && json_object_get(object, "fds");
}

static json_t *status_of(pid_t master, pid_t worker)
{
    return json_pack("{s:{s:i}, s:[{s:[{s:[{s:i}]}]}]}", "master", "pid", (int)master, "programs",
                     "slots", "workers", "pid", (int)worker);
}

/* Whoever has a worker's pid and is no child of the master is not that worker; and no pid is from another namespace. */
static void test_whose_numbers(UNUSED void **state)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        wait_for_the_end();
    json_auto_t *ours = status_of(getpid(), child), *of_others = status_of(getpid(), getppid()),
                *elsewhere = status_of(getpid(), child), *alone = status_of(getpid(), 0);
    assert_true(has_numbers(ours, getpid(), "master"));
    assert_true(has_numbers(ours, getpid(), "worker"));
    assert_false(has_numbers(of_others, getpid(), "worker"));
    assert_false(has_numbers(elsewhere, getppid(), "master"));
    assert_false(has_numbers(elsewhere, 0, "worker"));
    assert_false(has_numbers(alone, getpid(), "worker"));
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    json_auto_t *gone = status_of(getpid(), child);
    assert_false(has_numbers(gone, getpid(), "worker"));
}

/* Looks */

struct fake {
    const char *name, *state;
    int pid, start;
    int64_t uptime, cpu_time;
    int memory, connections;
};

static json_t *fake_worker(const struct fake *fake)
{
    json_t *worker = json_pack("{s:i, s:i, s:s, s:s, s:i}", "pid", fake->pid, "generation", 3,
                               "state", fake->state, "text", "hello\x1b[2J", "restarts", fake->pid);
    if (fake->start == 0)
        return worker;
    json_auto_t *numbers = json_pack(
        "{s:i, s:I, s:I, s:f, s:i, s:i, s:i}", "start_usec", fake->start, "uptime_usec",
        (json_int_t)fake->uptime, "cpu_usec", (json_int_t)fake->cpu_time, "cpu",
        numbers_percent((uint64_t)fake->cpu_time, (uint64_t)fake->uptime), "memory", fake->memory,
        "fds", 9, "connections", fake->connections);
    assert_int_equal(json_object_update(worker, numbers), 0);
    return worker;
}

/* One program; a worker with pid 0 is a slot without. */
static json_t *fake_status(const struct fake *fakes, size_t n)
{
    json_t *slots = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *workers = json_array();
        if (fakes[i].pid > 0)
            assert_int_equal(json_array_append_new(workers, fake_worker(&fakes[i])), 0);
        json_t *slot = json_pack("{s:i, s:s, s:s, s:o}", "slot", (int)i, "name", fakes[i].name,
                                 "state", fakes[i].state, "workers", workers);
        assert_int_equal(json_array_append_new(slots, slot), 0);
    }
    return json_pack("{s:{s:i, s:i, s:i, s:i, s:f, s:i}, s:{s:i}, s:[{s:s, s:o}], s:[{s:s, s:s, "
                     "s:i, s:i, s:i}, {s:s, s:s, s:i, s:i}]}",
                     "master", "pid", 77, "start_usec", 1, "uptime_usec", 2, "cpu_usec", 3, "cpu",
                     0.5, "memory", 4096, "reload", "id", 0, "programs", "name", "web", "slots",
                     slots, "listeners", "name", "quiet", "address", "127.0.0.1:1", "queue", 0,
                     "backlog", 9, "drops", 5, "name", "crowded", "address", "unix:/x", "queue", 7,
                     "backlog", 9);
}

static void look(const struct fake *fakes, size_t n, struct top_rows *rows)
{
    struct top_rows now;
    json_auto_t *status = fake_status(fakes, n);
    top_rows_read(status, false, rows, &now);
    top_rows_clear(rows);
    *rows = now;
}

#define S USEC_PER_SEC

static void test_cpu_since_the_last_look(UNUSED void **state)
{
    CLEANUP(top_rows_clear) struct top_rows rows = {0};
    const struct fake first[] = {
        {"web/0", "READY", 100, 5, 10 * S, 5 * S, 1000, 3},
        {"web/1", "READY", 101, 6, 10 * S, 1 * S, 1000, 3},
        {"web/2", "READY", 102, 7, 10 * S, 1 * S, 1000, 3},
        {"web/3", "READY", 103, 0, 0, 0, 0, 0},
        {"web/4", "FATAL", 0, 0, 0, 0, 0, 0},
    };
    look(first, ARRAY_SIZE(first), &rows);
    assert_int_equal(rows.n, 5);
    assert_int_equal(rows.n_ready, 4);
    assert_true(rows.rows[0].cpu == 50 && rows.cpu == 70);
    assert_true(rows.rows[3].cpu == TOP_UNKNOWN && rows.rows[3].memory == TOP_UNKNOWN);
    assert_int_equal(rows.rows[4].pid, TOP_UNKNOWN);
    assert_int_equal(rows.memory, 3000);
    assert_int_equal(rows.connections, 9);
    assert_string_equal(rows.rows[0].text, "hello?[2J");
    /* However they are shown meanwhile. */
    top_rows_sort(&rows, TOP_BY_STATE, true);
    /* One did much; one has the pid of another by now; one was looked at again at once. */
    const struct fake second[] = {
        {"web/2", "READY", 102, 7, 10 * S + 1000, 1 * S + 10000, 1000, 3},
        {"web/0", "READY", 100, 5, 12 * S, 8 * S, 1000, 3},
        {"web/1", "READY", 101, 9, 1 * S, S / 4, 1000, 3},
    };
    look(second, ARRAY_SIZE(second), &rows);
    assert_true(rows.rows[0].cpu == 10);
    assert_true(rows.rows[1].cpu == 150);
    assert_int_equal(rows.rows[1].graph.n, 2);
    assert_true(rows.rows[2].cpu == 25);
    assert_int_equal(rows.rows[2].graph.n, 1);
    assert_int_equal(rows.graph.n, 2);
    assert_int_equal(rows.master.graph.n, 2);
}

static void test_json_has_it_too(UNUSED void **state)
{
    CLEANUP(top_rows_clear) struct top_rows rows = {0};
    const struct fake first = {"web/0", "READY", 100, 5, 10 * S, 5 * S, 1000, 3},
                      second = {"web/0", "READY", 100, 5, 11 * S, 5 * S, 1000, 3};
    struct top_rows now;
    look(&first, 1, &rows);
    json_auto_t *status = fake_status(&second, 1);
    top_rows_read(status, false, &rows, &now);
    top_rows_clear(&now);
    json_t *slot = json_array_get(
               json_object_get(json_array_get(json_object_get(status, "programs"), 0), "slots"), 0),
           *worker = json_array_get(json_object_get(slot, "workers"), 0);
    assert_true(json_real_value(json_object_get(worker, "cpu")) == 0);
}

static void expect_order(struct top_rows *rows, enum top_order order, bool reverse,
                         const char *wanted)
{
    char names[64] = "";
    top_rows_sort(rows, order, reverse);
    for (size_t i = 0; i < rows->n; i++) {
        (void)strncat(names, i > 0 ? " " : "", sizeof(names) - strlen(names) - 1);
        (void)strncat(names, rows->rows[i].name, sizeof(names) - strlen(names) - 1);
    }
    assert_string_equal(names, wanted);
}

static void test_orders(UNUSED void **state)
{
    CLEANUP(top_rows_clear) struct top_rows rows = {0};
    const struct fake fakes[] = {
        {"w/10", "READY", 40, 5, 10 * S, 5 * S, 1000, 3},
        {"w/2", "STARTING", 30, 5, 20 * S, 6 * S, 3000, 3},
        {"a/1", "STOPPED", 0, 0, 0, 0, 0, 0},
        {"w/1", "DRAINING", 20, 5, 30 * S, 1 * S, 2000, 9},
        {"b/1", "FATAL", 0, 0, 0, 0, 0, 0},
    };
    look(fakes, ARRAY_SIZE(fakes), &rows);
    expect_order(&rows, TOP_BY_CPU, false, "w/10 w/2 w/1 a/1 b/1");
    expect_order(&rows, TOP_BY_CPU, true, "a/1 b/1 w/1 w/2 w/10");
    expect_order(&rows, TOP_BY_MEMORY, false, "w/2 w/1 w/10 a/1 b/1");
    expect_order(&rows, TOP_BY_NAME, false, "a/1 b/1 w/1 w/2 w/10");
    expect_order(&rows, TOP_BY_NAME, true, "w/10 w/2 w/1 b/1 a/1");
    expect_order(&rows, TOP_BY_STATE, false, "b/1 w/1 w/2 w/10 a/1");
    expect_order(&rows, TOP_BY_CONNECTIONS, false, "w/1 w/10 w/2 a/1 b/1");
    expect_order(&rows, TOP_BY_FDS, false, "w/10 w/2 w/1 a/1 b/1");
    expect_order(&rows, TOP_BY_PID, false, "w/10 w/2 w/1 a/1 b/1");
    expect_order(&rows, TOP_BY_GENERATION, false, "w/10 w/2 w/1 a/1 b/1");
    expect_order(&rows, TOP_BY_RESTARTS, false, "w/10 w/2 w/1 a/1 b/1");
    expect_order(&rows, TOP_BY_UPTIME, false, "w/1 w/2 w/10 a/1 b/1");
}

/* Frames */

static void expect_line(const char *frame, const char *wanted)
{
    if (!strstr(frame, wanted))
        fail_msg("no \"%s\" in:\n%s", wanted, frame);
}

static void test_plain_frame(UNUSED void **state)
{
    const struct screen screen = {.width = SIZE_MAX, .height = SIZE_MAX};
    CLEANUP(top_rows_clear) struct top_rows rows = {0};
    struct top_view view = {.order = TOP_BY_CPU};
    const struct fake fakes[] = {
        {"web/0", "READY", 4711, 5, 100 * S, 5 * S, 5 << 20, 13},
        {"web/1", "FATAL", 0, 0, 0, 0, 0, 0},
    };
    look(fakes, ARRAY_SIZE(fakes), &rows);
    json_auto_t *status = fake_status(fakes, ARRAY_SIZE(fakes));
    CLEANUP_FREE char *frame = top_frame(&rows, status, &view, &screen);
    expect_line(frame, "workers  1 of 2 ready  cpu 5.0%  .  ");
    expect_line(frame, "  memory 5.0M  13 connections\n");
    expect_line(frame, "\ncrowded   unix:/x          7        9      -\nquiet ");
    expect_line(frame, "\nweb/0   4711    3  READY  1 min 40 s      4711  5.0%                 .   "
                       " 5.0M           13    9  hello?[2J\n");
    expect_line(frame, "\nweb/1      -    -  FATAL           -         -     -               "
                       "          -            -    -\n");
}

/* Why nobody is there, or who is leaves. */
static void test_reasons(UNUSED void **state)
{
    CLEANUP(top_rows_clear) struct top_rows rows = {0};
    const struct fake fakes[] = {{"web/0", "READY", 4711, 5, 100 * S, 5 * S, 5 << 20, 13},
                                 {"web/1", "FATAL", 0, 0, 0, 0, 0, 0},
                                 {"web/2", "STOPPING", 4712, 5, 100 * S, 5 * S, 5 << 20, 13}};
    json_auto_t *status = fake_status(fakes, ARRAY_SIZE(fakes));
    json_t *programs = json_object_get(status, "programs"),
           *slots = json_object_get(json_array_get(programs, 0), "slots"), *slot;
    size_t i;
    json_array_foreach(slots, i, slot)
    {
        json_t *worker = json_array_get(json_object_get(slot, "workers"), 0);
        (void)json_object_set_new(slot, "reason", json_string("of the slot"));
        (void)json_object_set_new(worker, "reason", json_string("of the worker"));
        if (i == 2)
            (void)json_object_del(worker, "text");
    }
    top_rows_read(status, false, &(struct top_rows){0}, &rows);
    assert_string_equal(rows.rows[0].text, "hello?[2J");
    assert_string_equal(rows.rows[1].text, "of the slot");
    assert_string_equal(rows.rows[2].text, "of the worker");
}

static size_t count_lines(const char *frame, size_t width)
{
    size_t n = 0;
    for (; *frame != '\0'; n++) {
        size_t length = strcspn(frame, "\n");
        CLEANUP_FREE char *line = strndup(frame, length);
        assert_true(text_width(line) <= width);
        frame += length + 1;
    }
    return n;
}

/* Whatever the size, help or trouble. */
static void test_never_more_than_the_screen(UNUSED void **state)
{
    enum { MANY = 50 };
    struct fake fakes[MANY];
    CLEANUP(top_rows_clear) struct top_rows rows = {0};
    for (size_t i = 0; i < MANY; i++)
        fakes[i] = (struct fake){"some-worker", "READY", 1000 + (int)i, 5, S, S / 2, 5000000, 3};
    look(fakes, MANY, &rows);
    json_auto_t *status = fake_status(fakes, MANY);
    for (size_t i = 0; i < 4; i++)
        for (size_t height = 1; height < 70; height++)
            for (size_t width = 1; width < 160; width += 7) {
                const struct screen screen = {.terminal = true, .width = width, .height = height};
                struct top_view view = {.help = i & 1,
                                        .first = 1000,
                                        .utf8 = true,
                                        .trouble = i & 2 ? "the master is silent" : NULL};
                CLEANUP_FREE char *frame = top_frame(&rows, status, &view, &screen);
                size_t lines = count_lines(frame, width);
                assert_true(lines <= height);
                assert_true(view.help || view.first + view.page <= MANY);
                /* What there is room for is used. */
                if (!view.help && height >= 8 && height <= 50)
                    assert_int_equal(lines, height);
            }
}

static void test_scrolling(UNUSED void **state)
{
    const struct fake fakes[] = {
        {"w/0", "READY", 40, 0, 0, 0, 0, 0}, {"w/1", "READY", 41, 0, 0, 0, 0, 0},
        {"w/2", "READY", 42, 0, 0, 0, 0, 0}, {"w/3", "READY", 43, 0, 0, 0, 0, 0},
        {"w/4", "READY", 44, 0, 0, 0, 0, 0}, {"w/5", "READY", 45, 0, 0, 0, 0, 0},
    };
    const struct screen screen = {.terminal = true, .width = 79, .height = 7};
    CLEANUP(top_rows_clear) struct top_rows rows = {0};
    struct top_view view = {.order = TOP_BY_NAME, .first = 2};
    look(fakes, ARRAY_SIZE(fakes), &rows);
    json_auto_t *status = fake_status(fakes, ARRAY_SIZE(fakes));
    CLEANUP_FREE char *middle = top_frame(&rows, status, &view, &screen);
    assert_int_equal(view.page, 3);
    assert_null(strstr(middle, "w/1"));
    expect_line(middle, "\nw/2");
    expect_line(middle, "\nw/4");
    expect_line(middle, "\nmore: arrow and page keys\n");
    view.first = SIZE_MAX;
    CLEANUP_FREE char *last = top_frame(&rows, status, &view, &screen);
    assert_int_equal(view.first, 3);
    expect_line(last, "\nw/5");
    expect_line(last, "\nthe end\n");
}

/* Keys */

static void test_keys(UNUSED void **state)
{
    static const struct {
        const char *bytes;
        int key;
        size_t used;
    } cases[] = {
        {"q", 'q', 1},
        {"qc", 'q', 1},
        {"\x1b", KEY_OTHER, 1},
        {"\x1b[A", KEY_UP, 3},
        {"\x1bOBq", KEY_DOWN, 3},
        {"\x1b[5~q", KEY_PAGE_UP, 4},
        {"\x1b[6~", KEY_PAGE_DOWN, 4},
        {"\x1b[H", KEY_HOME, 3},
        {"\x1b[4~", KEY_END, 4},
        {"\x1b[1;5Aq", KEY_OTHER, 6},
        {"\x1b[", KEY_OTHER, 2},
        {"\x1b[12", KEY_OTHER, 4},
        {"\xff", 0xff, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t used = 0;
        assert_int_equal(terminal_parse_key(cases[i].bytes, strlen(cases[i].bytes), &used),
                         cases[i].key);
        assert_int_equal(used, cases[i].used);
    }
    assert_int_equal(terminal_parse_key("", 0, NULL), 0);
    enum top_order order = TOP_BY_PID;
    assert_true(top_order_of_key('m', &order) && order == TOP_BY_MEMORY);
    assert_false(top_order_of_key('r', &order));
    assert_false(top_order_of_key(KEY_UP, &order));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph),
        cmocka_unit_test(test_graph_moves),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_whose_numbers),
        cmocka_unit_test(test_cpu_since_the_last_look),
        cmocka_unit_test(test_json_has_it_too),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_plain_frame),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_never_more_than_the_screen),
        cmocka_unit_test(test_scrolling),
        cmocka_unit_test(test_keys),
    };
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
