/*
 * From the top: the master, the newest reload, the workers together; listeners, those with the longest queues first, in at most
 * a third of a terminal; and the workers, as many as fit.
 */
#include "reloaderctl/top-frame.h"

#include "base/parse.h"
#include "reloaderctl/cells.h"
#include "reloaderctl/field.h"

#include <inttypes.h>
#include <string.h>

#define FULL_CPU   100 /* percent that fill a graph */
#define LOW_SCREEN 8   /* lines; with fewer, workers matter more than what is around them */

static const struct {
    char key;
    const char *name;
} orders[TOP_ORDERS] = {
    [TOP_BY_CPU] = {'c', "cpu"},
    [TOP_BY_MEMORY] = {'m', "memory"},
    [TOP_BY_NAME] = {'n', "name"},
    [TOP_BY_STATE] = {'s', "state"},
    [TOP_BY_CONNECTIONS] = {'o', "open connections"},
    [TOP_BY_FDS] = {'f', "file descriptors"},
    [TOP_BY_PID] = {'p', "pid"},
    [TOP_BY_GENERATION] = {'g', "generation"},
    [TOP_BY_RESTARTS] = {'t', "times restarted"},
    [TOP_BY_UPTIME] = {'u', "uptime"},
};

bool top_order_of_key(int key, enum top_order *ret)
{
    for (size_t i = 0; i < TOP_ORDERS; i++)
        if (orders[i].key == key) {
            *ret = (enum top_order)i;
            return true;
        }
    return false;
}

/* The head */

static void put_master(const struct top_rows *rows, json_t *status, const struct screen *screen,
                       FILE *stream)
{
    static const size_t expendable[] = {2, 8, 7, 1, 4, 6};
    CLEANUP_TABLE struct table line = {.n_columns = 9, TABLE_EXPENDABLE(expendable)};
    json_t *master = json_object_get(status, "master");
    CLEANUP_FREE char *version = get_text(master, "version"), *state = get_text(master, "state");
    char up[DURATION_TEXT_SIZE], delay[DURATION_TEXT_SIZE], percent[PERCENT_TEXT_SIZE],
        size[SIZE_TEXT_SIZE];
    bool known = rows->master.cpu >= 0;
    table_add(&line, TONE_BOLD, "master");
    table_add(&line, TONE_PLAIN, "pid %" PRIu64, get_number(master, "pid"));
    table_add(&line, TONE_PLAIN, "version %s", version);
    table_add(&line, tone_of_state(state), "%s", state);
    table_add(&line, TONE_PLAIN, "up %s", duration_to_text(get_number(master, "uptime_usec"), up));
    table_add(&line, TONE_PLAIN, "cpu %s",
              known ? percent_to_text(rows->master.cpu, percent) : "-");
    table_add(&line, TONE_PLAIN, "memory %s",
              rows->master.memory >= 0 ? size_to_text((uint64_t)rows->master.memory, size) : "-");
    table_add(&line, TONE_PLAIN, "loop delay %s",
              duration_to_text(get_number(master, "loop_delay"), delay));
    table_add(&line, TONE_PLAIN, "fds %" PRId64, MAX(rows->master.fds, (int64_t)0));
    table_print(&line, screen, 0, stream);
}

static void put_reload(json_t *status, const struct top_view *view, const struct screen *screen,
                       FILE *stream)
{
    CLEANUP_TABLE struct table line = {.n_columns = 3};
    json_t *reload = json_object_get(status, "reload");
    CLEANUP_FREE char *result = get_words(reload, "result"), *reason = get_text(reload, "reason"),
                      *progress = get_words(reload, "state");
    const char *word = result[0] ? result : progress;
    table_add(&line, TONE_BOLD, "%s", view->trouble ? "no answer" : "reload");
    if (view->trouble)
        table_add(&line, TONE_BAD, "%s", view->trouble);
    else if (get_number(reload, "id") == 0)
        table_add(&line, TONE_PLAIN, "none yet");
    else
        table_add(&line, tone_of_state(word), "%" PRIu64 " %s", get_number(reload, "id"), word);
    table_add(&line, TONE_PLAIN, "%s", view->trouble ? "" : reason);
    table_print(&line, screen, 0, stream);
}

static void put_summary(const struct top_rows *rows, const struct top_view *view,
                        const struct screen *screen, FILE *stream)
{
    static const size_t expendable[] = {6, 5, 3, 4};
    CLEANUP_TABLE struct table line = {.n_columns = 7, TABLE_EXPENDABLE(expendable)};
    char percent[PERCENT_TEXT_SIZE], size[SIZE_TEXT_SIZE], graph[GRAPH_TEXT_SIZE];
    table_add(&line, TONE_BOLD, "workers");
    table_add(&line, TONE_PLAIN, "%zu of %zu ready", rows->n_ready, rows->n);
    table_add(&line, TONE_PLAIN, "cpu %s", percent_to_text(rows->cpu, percent));
    /* As wide from the first look on as it will be. */
    table_add(&line, TONE_GOOD, "%s%*s", graph_to_text(&rows->graph, FULL_CPU, view->utf8, graph),
              (int)(GRAPH_SAMPLES - rows->graph.n), "");
    table_add(&line, TONE_PLAIN, "%s %s", view->pss ? "pss" : "memory",
              size_to_text(rows->memory, size));
    table_add(&line, TONE_PLAIN, "%" PRIu64 " connections", rows->connections);
    if (screen->terminal)
        table_add(&line, TONE_DIM, "by %s%s  ? help", orders[view->order].name,
                  view->reverse ? ", reversed" : "");
    else
        table_add(&line, TONE_PLAIN, "%s", "");
    table_print(&line, screen, 0, stream);
}

static void put_gateway(json_t *gateway, const struct screen *screen, FILE *stream)
{
    CLEANUP_TABLE struct table line = {.n_columns = 4};
    CLEANUP_FREE char *state = get_text(gateway, "state"), *address = get_text(gateway, "address"),
                      *reason = get_text(gateway, "reason");
    if (!gateway)
        return;
    table_add(&line, TONE_BOLD, "gateway");
    table_add(&line, tone_of_state(state), "%s", state);
    table_add(&line, TONE_PLAIN, "%s", address);
    table_add(&line, TONE_BAD, "%s", reason);
    table_print(&line, screen, 0, stream);
}

/* Listeners */

struct queue {
    json_t *listener;
    uint64_t length;
    size_t place;
};

static void free_queues(struct queue **queues)
{
    free(*queues);
}

static int by_length(const void *left, const void *right)
{
    const struct queue *a = left, *b = right;
    if (a->length != b->length)
        return a->length < b->length ? 1 : -1;
    return a->place > b->place ? 1 : -1;
}

static void put_listeners(json_t *listeners, size_t room, const struct screen *screen, FILE *stream)
{
    static const size_t expendable[] = {4, 3, 2};
    CLEANUP_TABLE struct table table = {LISTENER_TABLE, TABLE_EXPENDABLE(expendable)};
    size_t n = json_array_size(listeners);
    if (n == 0 || room < 3)
        return;
    CLEANUP(free_queues) struct queue *queues = calloc(n, sizeof(*queues));
    if (!queues)
        die_of_memory();
    for (size_t i = 0; i < n; i++) {
        json_t *listener = json_array_get(listeners, i);
        queues[i] = (struct queue){listener, get_number(listener, "queue"), i};
    }
    qsort(queues, n, sizeof(*queues), by_length);
    add_listener_titles(&table);
    for (size_t i = 0; i < MIN(n, room - 2); i++)
        add_listener(&table, queues[i].listener);
    table_print(&table, screen, 0, stream);
    (void)fputc('\n', stream);
}

/* Workers */

enum column {
    COLUMN_WORKER,
    COLUMN_PID,
    COLUMN_GENERATION,
    COLUMN_STATE,
    COLUMN_UP,
    COLUMN_RESTARTS,
    COLUMN_CPU,
    COLUMN_GRAPH,
    COLUMN_MEMORY,
    COLUMN_CONNECTIONS,
    COLUMN_FDS,
    COLUMN_TEXT,
    N_COLUMNS
};

#define RIGHT(column) (1u << COLUMN_##column)

static void add_known(struct table *table, int64_t number)
{
    if (number >= 0)
        table_add(table, TONE_PLAIN, "%" PRId64, number);
    else
        table_add(table, TONE_PLAIN, "-");
}

static void add_row(struct table *table, const struct top_row *row, bool utf8)
{
    char text[DURATION_TEXT_SIZE], percent[PERCENT_TEXT_SIZE], size[SIZE_TEXT_SIZE],
        graph[GRAPH_TEXT_SIZE];
    bool runs = row->pid >= 0;
    table_add(table, TONE_PLAIN, "%s", row->name);
    add_known(table, row->pid);
    if (runs)
        table_add(table, row->mixed ? TONE_BUSY : TONE_PLAIN, "%s%" PRIu64,
                  row->mixed ? "mixed " : "", row->generation);
    else
        table_add(table, TONE_PLAIN, "-");
    table_add(table, tone_of_state(row->state), "%s", row->state);
    table_add(table, TONE_PLAIN, "%s",
              row->uptime_usec >= 0 ? duration_to_text((uint64_t)row->uptime_usec, text) : "-");
    add_known(table, runs ? (int64_t)row->restarts : TOP_UNKNOWN);
    table_add(table, TONE_PLAIN, "%s", row->cpu >= 0 ? percent_to_text(row->cpu, percent) : "-");
    table_add(table, TONE_GOOD, "%s", graph_to_text(&row->graph, FULL_CPU, utf8, graph));
    table_add(table, TONE_PLAIN, "%s",
              row->memory >= 0 ? size_to_text((uint64_t)row->memory, size) : "-");
    add_known(table, row->connections);
    add_known(table, row->fds);
    table_add(table, TONE_PLAIN, "%s", row->text);
}

static void add_row_titles(struct table *table, const struct top_view *view)
{
    const char *const titles[N_COLUMNS] = {"WORKER",      "PID",     "GEN",
                                           "STATE",       "UP",      "RESTARTS",
                                           "CPU",         "HISTORY", view->pss ? "PSS" : "MEMORY",
                                           "CONNECTIONS", "FDS",     "TEXT"};
    static const enum column sorted[TOP_ORDERS] = {
        [TOP_BY_CPU] = COLUMN_CPU,
        [TOP_BY_MEMORY] = COLUMN_MEMORY,
        [TOP_BY_NAME] = COLUMN_WORKER,
        [TOP_BY_STATE] = COLUMN_STATE,
        [TOP_BY_CONNECTIONS] = COLUMN_CONNECTIONS,
        [TOP_BY_FDS] = COLUMN_FDS,
        [TOP_BY_PID] = COLUMN_PID,
        [TOP_BY_GENERATION] = COLUMN_GENERATION,
        [TOP_BY_RESTARTS] = COLUMN_RESTARTS,
        [TOP_BY_UPTIME] = COLUMN_UP,
    };
    for (size_t i = 0; i < N_COLUMNS; i++)
        table_add(table, i == sorted[view->order] ? TONE_BOLD : TONE_DIM, "%*s",
                  i == COLUMN_GRAPH ? GRAPH_SAMPLES : 0, titles[i]);
}

/* A line for the titles, and one that tells of rows which are not shown. */
static void put_workers(const struct top_rows *rows, struct top_view *view, size_t room,
                        const struct screen *screen, FILE *stream)
{
    static const size_t expendable[] = {COLUMN_FDS,   COLUMN_RESTARTS,   COLUMN_UP,
                                        COLUMN_GRAPH, COLUMN_GENERATION, COLUMN_CONNECTIONS,
                                        COLUMN_TEXT,  COLUMN_MEMORY,     COLUMN_PID};
    CLEANUP_TABLE struct table table = {.n_columns = N_COLUMNS,
                                        .right = RIGHT(PID) | RIGHT(GENERATION) | RIGHT(UP) |
                                                 RIGHT(RESTARTS) | RIGHT(CPU) | RIGHT(GRAPH) |
                                                 RIGHT(MEMORY) | RIGHT(CONNECTIONS) | RIGHT(FDS),
                                        TABLE_EXPENDABLE(expendable)};
    bool all = rows->n + 1 <= room;
    view->page = all ? rows->n : room > 2 ? room - 2 : 0;
    view->first = MIN(view->first, rows->n - view->page);
    if (room < 2)
        return;
    add_row_titles(&table, view);
    for (size_t i = 0; i < view->page; i++)
        add_row(&table, &rows->rows[view->first + i], view->utf8);
    table_print(&table, screen, 0, stream);
    if (!all)
        (void)fprintf(stream, "%.*s\n", (int)MIN(screen->width, (size_t)80),
                      rows->n > view->page + view->first ? "more: arrow and page keys" : "the end");
}

static void put_help(const struct screen *screen, FILE *stream)
{
    static const char *const lines[][2] = {
        {"r", "the other way round"},
        {"arrows, page keys", "scroll"},
        {"blank", "look now"},
        {"?", "this, and back"},
        {"q", "quit"},
    };
    CLEANUP_TABLE struct table table = {.n_columns = 2};
    for (size_t i = 0; i < TOP_ORDERS; i++) {
        table_add(&table, TONE_BOLD, "%c", orders[i].key);
        table_add(&table, TONE_PLAIN, "sort by %s", orders[i].name);
    }
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        table_add(&table, TONE_BOLD, "%s", lines[i][0]);
        table_add(&table, TONE_PLAIN, "%s", lines[i][1]);
    }
    table_print(&table, screen, 0, stream);
}

/* The first `limit` lines stay. Returns how many these are. */
static size_t cut_lines(char *text, size_t limit)
{
    size_t n = 0;
    while (n < limit && *text != '\0') {
        text += strcspn(text, "\n");
        text += *text == '\n';
        n++;
    }
    *text = '\0';
    return n;
}

static void put_head(const struct top_rows *rows, json_t *status, const struct top_view *view,
                     const struct screen *screen, FILE *stream)
{
    bool is_low = screen->height < LOW_SCREEN;
    put_master(rows, status, screen, stream);
    if (!is_low || view->trouble)
        put_reload(status, view, screen, stream);
    put_summary(rows, view, screen, stream);
    if (is_low)
        return;
    put_gateway(json_object_get(status, "gateway"), screen, stream);
    (void)fputc('\n', stream);
    /* 80 x 24 shows four of them. */
    put_listeners(json_object_get(status, "listeners"),
                  screen->terminal ? (screen->height - 4) / 3 : SIZE_MAX, screen, stream);
}

char *top_frame(const struct top_rows *rows, json_t *status, struct top_view *view,
                const struct screen *screen)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        die_of_memory();
    put_head(rows, status, view, screen, stream);
    if (fflush(stream) != 0)
        die_of_memory();
    size_t used = 0;
    for (const char *c = text; *c != '\0'; c++)
        used += *c == '\n';
    size_t room = screen->height > used ? screen->height - used : 0;
    if (view->help)
        put_help(screen, stream);
    else
        put_workers(rows, view, room, screen, stream);
    if (fclose(stream) != 0)
        die_of_memory();
    (void)cut_lines(text, screen->height);
    return text;
}
