/*
 * logging.h - reloader-log, the helper that writes workers' output: started when the first worker needs it, started again
 * when it dies, told of every pipe.
 *
 * The master holds each pipe's reading end until reloader-log has said that nobody writes into it any more and all of it is
 * written. So a new reloader-log gets all pipes, with what is still in them. The master itself never reads from them.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "master/helper.h"
#include "worker/output-counters.h"
#include "worker/output.h"

#include <systemd/sd-event.h>

/* What its owner has to know. */
struct logging_ops {
    /* Its lines are wanted, as they are printed; if logging_taps_changed() was said whenever that changed. */
    bool (*wanted)(const struct output_pipe *pipe, void *userdata);
    /* Here are some, whole ones, and how many were left out before them, as they were too many. */
    void (*lines)(const struct output_pipe *pipe, const char *text, uint64_t missed,
                  void *userdata);
    /* A pipe of this program came to its end, and its counters are forgotten. */
    void (*ended)(const char *program, const struct output_counters *counters, void *userdata);
};

struct logging {
    const struct logging_ops *ops;
    void *userdata;
    struct helper *helper;
    struct output_sink sink;
    struct list waiting, handed; /* pipes that reloader-log has to be told of, and those it knows */
    struct output_counters *counters; /* NULL until it is first started */
    int counters_fd;
    uint64_t *free_numbers; /* a stack */
    size_t n_free, n_used;
    bool reopen;       /* it has yet to be told */
    bool taps_changed; /* likewise */
    bool knows_log;    /* where the master's log goes */
};

int logging_new(sd_event *event, struct reaper *reaper, const struct logging_ops *ops,
                void *userdata, struct logging **ret);
/* Has all that was printed written, for which it waits some seconds at most, and ends it. */
struct logging *logging_free(struct logging *logging);
DEFINE_FREEP(struct logging *, logging_free)

/* Valid as long as the logging. NULL of NULL. */
const struct output_sink *logging_sink(const struct logging *logging);

/* Adds what became of the program's pipes that have not come to their end. */
void logging_add_totals(const struct logging *logging, const char *program,
                        struct output_totals *totals);

/* Files are opened anew, after somebody renamed them. */
void logging_reopen(struct logging *logging);
void logging_taps_changed(struct logging *logging);
/* The master's log goes elsewhere, or in another format, from now on. */
void logging_log_changed(struct logging *logging);

/* For logging-tell.c and logging.c: */

/* Tells it of what it has not been told of, as far as its socket takes that now. 0: of all; else -errno. */
int logging_tell(struct logging *logging);
/* It has died: what it had read and not written, for people (malloc-ed). NULL: out of memory. */
char *logging_count_lost(struct logging *logging);
