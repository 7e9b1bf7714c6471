/* job.h - whole lines of one stream, on their way to where they are written. */
#pragma once

#include "base/list.h"
#include "base/log-record.h"
#include "worker/output-counters.h"

#include <stdbool.h>
#include <stddef.h>

/* Who printed them. */
struct origin {
    struct log_subject subject;
    const char *stream; /* "stdout" or "stderr" */
};

struct job {
    struct list link;
    void *owner;
    const struct origin *origin;      /* outlives the job */
    struct output_counters *counters; /* the writer adds to `written` */
    size_t came; /* bytes that it stands for, before any were left out; 0: only opens the file */
    size_t size;
    /* When it is done: */
    size_t n_dropped, dropped_lines; /* of its bytes as they are now */
    int error;        /* why, or what went wrong beside: errno; 0: nothing */
    const char *step; /* "write to", "open", ... */
    bool log_is_full; /* the master's log, it is time to rotate it */
    char data[];      /* the last line ends as all others do */
};

/* The rest of it, from this byte on, is not written. */
void job_drop_from(struct job *job, size_t at);
/* A part that is not written. */
void job_drop(struct job *job, const char *data, size_t size);
/* It is written as far as it will ever be: the counters are told. */
void job_settle(struct job *job);
