/*
 * top-rows.h - what `top` shows of workers: a row for each, and one for a slot without, with what became of it since the
 * last look. No input or output here.
 */
#pragma once

#include "reloaderctl/graph.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOP_UNKNOWN (-1)

struct top_row {
    char *name, *state, *text; /* clean */
    uint64_t generation, restarts;
    bool mixed;
    size_t place; /* in the status */
    /* TOP_UNKNOWN where there is none, or we may not read it. */
    int64_t pid, start_usec, uptime_usec, cpu_usec, memory, fds, connections;
    double
        cpu; /* percent of one CPU since the last look; since the process began at the first one */
    struct graph graph;
};

struct top_rows {
    struct top_row *rows;
    size_t n;
    struct top_row master; /* without name and text */
    /* Of the workers, as far as known. */
    double cpu;
    uint64_t memory, connections;
    size_t n_ready;
    struct graph graph; /* of cpu */
};

/*
 * From a status with numbers (numbers.h), whose `cpu` becomes that since `before`; that is what top_rows_read() gave last, in any order, or
 * empty. `pss`: memory is that.
 */
void top_rows_read(json_t *status, bool pss, struct top_rows *before, struct top_rows *ret);
void top_rows_clear(struct top_rows *rows);

enum top_order {
    TOP_BY_CPU,
    TOP_BY_MEMORY,
    TOP_BY_NAME,
    TOP_BY_STATE, /* what is broken first */
    TOP_BY_CONNECTIONS,
    TOP_BY_FDS,
    TOP_BY_PID,
    TOP_BY_GENERATION,
    TOP_BY_RESTARTS,
    TOP_BY_UPTIME,
    TOP_ORDERS
};

/* Numbers from the largest on, names in their order (web/2 before web/10); the other way round with `reverse`. Ties are as in the status. */
void top_rows_sort(struct top_rows *rows, enum top_order order, bool reverse);
