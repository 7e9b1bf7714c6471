#include "reloaderctl/top-rows.h"

#include "base/macros.h"
#include "reloaderctl/field.h"
#include "reloaderctl/numbers.h"
#include "reloaderctl/screen.h"

#include <stdlib.h>
#include <string.h>

/* Less is within the clock's ticks. */
#define ELAPSED_MIN_USEC (50 * USEC_PER_MSEC)

static int64_t number_of(json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : TOP_UNKNOWN;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_process(const void *left, const void *right)
{
    const struct top_row *a = left, *b = right;
    int order = compare(a->pid, b->pid);
    return order != 0 ? order : compare(a->start_usec, b->start_usec);
}

/* The rows of the last look are by_process(). */
static const struct top_row *find(const struct top_rows *rows, const struct top_row *key)
{
    if (rows->n == 0 || key->start_usec == TOP_UNKNOWN)
        return NULL;
    return bsearch(key, rows->rows, rows->n, sizeof(*key), by_process);
}

/* Each process by its own time: that of 1,000 is not read in one instant. */
static void measure_cpu(struct top_row *row, const struct top_row *before, json_t *object)
{
    const json_t *average = json_object_get(object, "cpu");
    row->cpu = json_is_number(average) ? json_number_value(average) : TOP_UNKNOWN;
    if (!before) {
        graph_add(&row->graph, row->cpu);
        return;
    }
    row->graph = before->graph;
    int64_t elapsed = row->uptime_usec - before->uptime_usec;
    if (elapsed < (int64_t)ELAPSED_MIN_USEC || row->cpu_usec < before->cpu_usec)
        row->cpu = before->cpu;
    else
        row->cpu = numbers_percent((uint64_t)(row->cpu_usec - before->cpu_usec), (uint64_t)elapsed);
    graph_add(&row->graph, row->cpu);
    (void)json_object_set_new(object, "cpu", json_real(row->cpu));
}

static void measure(struct top_row *row, json_t *object, bool pss)
{
    row->pid = number_of(object, "pid");
    row->start_usec = number_of(object, "start_usec");
    row->uptime_usec = number_of(object, "uptime_usec");
    row->cpu_usec = number_of(object, "cpu_usec");
    row->memory = number_of(object, pss ? "pss" : "memory");
    row->fds = number_of(object, "fds");
    row->connections = number_of(object, "connections");
}

/* Its own words; of one that leaves, and of a slot without one, why that is. */
static char *explain(json_t *slot, json_t *worker)
{
    char *text = get_text(worker, "text");
    CLEANUP_FREE char *state = get_text(worker, "state");
    bool leaves = strcmp(state, "DRAINING") == 0 || strcmp(state, "STOPPING") == 0;
    if (worker && (!leaves || text[0] != '\0'))
        return text;
    free(text);
    return get_text(worker ? worker : slot, "reason");
}

static void add_row(struct top_rows *rows, const struct top_rows *before, json_t *slot,
                    json_t *worker, bool pss)
{
    json_t *source = worker ? worker : slot;
    struct top_row *larger = reallocarray(rows->rows, rows->n + 1, sizeof(*larger));
    if (!larger)
        die_of_memory();
    rows->rows = larger;
    struct top_row *row = &larger[rows->n];
    *row = (struct top_row){.name = get_text(slot, "name"),
                            .state = get_text(source, "state"),
                            .text = explain(slot, worker),
                            .generation = get_number(worker, "generation"),
                            .restarts = get_number(worker, "restarts"),
                            .mixed = json_is_true(json_object_get(worker, "mixed")),
                            .place = rows->n++};
    measure(row, worker, pss);
    measure_cpu(row, find(before, row), worker);
    rows->cpu += MAX(row->cpu, 0.0);
    rows->memory += (uint64_t)MAX(row->memory, 0);
    rows->connections += (uint64_t)MAX(row->connections, 0);
    rows->n_ready += strcmp(row->state, "READY") == 0;
}

static void add_slot(struct top_rows *rows, const struct top_rows *before, json_t *slot, bool pss)
{
    json_t *workers = json_object_get(slot, "workers"), *worker;
    size_t i;
    json_array_foreach(workers, i, worker) add_row(rows, before, slot, worker, pss);
    if (json_array_size(workers) == 0)
        add_row(rows, before, slot, NULL, pss);
}

void top_rows_read(json_t *status, bool pss, struct top_rows *before, struct top_rows *ret)
{
    struct top_rows rows = {.graph = before->graph};
    json_t *program, *slot, *master = json_object_get(status, "master");
    size_t i, k;
    if (before->n > 0)
        qsort(before->rows, before->n, sizeof(*before->rows), by_process);
    json_array_foreach(json_object_get(status, "programs"), i, program)
        json_array_foreach(json_object_get(program, "slots"), k, slot)
            add_slot(&rows, before, slot, pss);
    measure(&rows.master, master, pss);
    bool same = rows.master.start_usec != TOP_UNKNOWN &&
                by_process(&rows.master, &before->master) == 0;
    measure_cpu(&rows.master, same ? &before->master : NULL, master);
    graph_add(&rows.graph, rows.cpu);
    *ret = rows;
}

void top_rows_clear(struct top_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        free(rows->rows[i].name);
        free(rows->rows[i].state);
        free(rows->rows[i].text);
    }
    free(rows->rows);
    *rows = (struct top_rows){0};
}

/* Orders */

/* FATAL, STARTING and the like, READY, STOPPED. */
static int64_t rank_of_state(const struct top_row *row)
{
    switch (tone_of_state(row->state)) {
    case TONE_BAD:
        return 0;
    case TONE_BUSY:
        return 1;
    case TONE_PLAIN:
    case TONE_BOLD:
    case TONE_GOOD:
        return 2;
    case TONE_DIM:
        break;
    }
    return 3;
}

static int compare_states(const struct top_row *a, const struct top_row *b)
{
    int order = compare(rank_of_state(a), rank_of_state(b));
    return order != 0 ? order : strcmp(a->state, b->state);
}

static int compare_by(enum top_order order, const struct top_row *a, const struct top_row *b)
{
    switch (order) {
    case TOP_BY_CPU:
        return (b->cpu > a->cpu) - (b->cpu < a->cpu);
    case TOP_BY_MEMORY:
        return compare(b->memory, a->memory);
    case TOP_BY_NAME:
        return strverscmp(a->name, b->name);
    case TOP_BY_STATE:
        return compare_states(a, b);
    case TOP_BY_CONNECTIONS:
        return compare(b->connections, a->connections);
    case TOP_BY_FDS:
        return compare(b->fds, a->fds);
    case TOP_BY_PID:
        return compare(b->pid, a->pid);
    case TOP_BY_GENERATION:
        return compare((int64_t)b->generation, (int64_t)a->generation);
    case TOP_BY_RESTARTS:
        return compare((int64_t)b->restarts, (int64_t)a->restarts);
    case TOP_BY_UPTIME:
        return compare(b->uptime_usec, a->uptime_usec);
    case TOP_ORDERS:
        break;
    }
    return 0;
}

struct wanted {
    enum top_order order;
    bool reverse;
};

static int by_wanted(const void *left, const void *right, void *userdata)
{
    const struct top_row *a = left, *b = right;
    const struct wanted *wanted = userdata;
    int order = compare_by(wanted->order, a, b);
    if (order != 0)
        return wanted->reverse ? -order : order;
    return compare((int64_t)a->place, (int64_t)b->place);
}

void top_rows_sort(struct top_rows *rows, enum top_order order, bool reverse)
{
    struct wanted wanted = {.order = order, .reverse = reverse};
    if (rows->n > 0)
        qsort_r(rows->rows, rows->n, sizeof(*rows->rows), by_wanted, &wanted);
}
