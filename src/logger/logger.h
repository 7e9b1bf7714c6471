/* logger.h - what there is of reloader-log beside its streams: the master's socket, the places that are written to, one clock. */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "logger/stream.h"
#include "logger/tap.h"
#include "logger/writer.h"
#include "worker/output-counters.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct logger {
    sd_event *event;
    int master; /* its socket; -1: it is gone */
    sd_event_source *master_source, *done_source, *tick;
    bool ticking;
    struct output_counters *counters;
    struct list streams, outlets;
    struct log_place log; /* its descriptor is ours */
    uint64_t asked_usec;  /* when the master was asked to rotate it; 0: there is a new one since */
    struct done done;
    struct tap_budget tap;
    bool finishing; /* the master has nothing more for us: what is in the pipes, and then out */
    char buffer[OUTPUT_READ_SIZE]; /* that all streams read into */
};

/* `master` and `counters_fd` are taken over. 0 or -errno. */
int logger_run(int master, int counters_fd);

/* For streams: */

/* Says something about it in the master's log. */
void logger_say(struct logger *logger, uint64_t number, const char *text);
/* stream_look() is wanted. */
void logger_tick(struct logger *logger);
/* Lets go of it, and tells the master, if it is over. */
void logger_release(struct logger *logger, struct stream *stream);
