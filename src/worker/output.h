/*
 * output.h - the pipes by which what workers print gets to reloader-log.
 *
 * A worker has one for each of stdout and stderr that is to be written by reloader-log; what is inherited or goes nowhere
 * needs none. The worker holds the writing end alone, its children share it. The reading end belongs to whoever takes the pipes (the
 * master), which hands a duplicate to reloader-log: while any of the two is open, what was printed is not lost. It is
 * non-blocking; the workers' end is not.
 */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "base/macros.h"
#include "config/config.h"
#include "worker/generation.h"

struct output_pipe {
    struct list link; /* the owner's */
    int read_fd;
    int write_fd; /* -1 once the worker was started */
    enum config_stream stream;
    struct generation *generation; /* a reference */
    unsigned slot;
    char *worker; /* its name */
    pid_t pid;
    const struct config_output *settings; /* of the generation's program */
    char *path; /* of a file: absolute, expanded */

    /* The owner's: */
    uint64_t number; /* among the counters */
    bool was_handed; /* some reloader-log has had it */
    bool refused;    /* one could not take it, and that was said */
    bool tapped;     /* this one copies its lines to us */
};

/* Takes over what workers print. `take` gets the pipe of a worker that runs; it cannot fail. */
struct output_sink {
    void (*take)(struct output_pipe *pipe, void *userdata);
    void *userdata;
};

/* "stdout" or "stderr" */
const char *output_stream_name(enum config_stream stream);

/*
 * Where a file is that this slot's stream is written to: absolute (malloc-ed); NULL where it is no file. 0 or -errno with *ret_error
 * (malloc-ed).
 */
int output_make_path(const struct generation *generation, unsigned slot, enum config_stream stream,
                     char **ret, char **ret_error);

/* A worker's output while it is started. */
struct output {
    struct output_pipe *pipes[CONFIG_STREAMS]; /* NULL: none is needed */
    int fds[CONFIG_STREAMS]; /* what becomes its fds 1 and 2; -1: the master's own; borrowed */
};

/*
 * `worker` is its name, `null_fd` /dev/null open (borrowed, until output_clear()). 0, or -errno with *ret_error without the worker's name
 * (malloc-ed).
 */
int output_make(struct generation *generation, unsigned slot, const char *worker, int null_fd,
                struct output *ret, char **ret_error);
/* The worker runs: the sink takes the pipes. */
void output_hand(struct output *output, pid_t pid, const struct output_sink *sink);
/* Frees what nobody took. */
void output_clear(struct output *output);

struct output_pipe *output_pipe_free(struct output_pipe *pipe);
DEFINE_FREEP(struct output_pipe *, output_pipe_free)
struct log_subject output_pipe_subject(const struct output_pipe *pipe);
