/*
 * file.h - one file that lines are written to, by a thread of its own: a disk that hangs or is slow holds up nobody else.
 *
 * There is one for each path, however many streams write to it; it lives as long as the last of them. Jobs are whole lines and
 * are written in the order of their coming, each with one write(2) to a file opened for appending, but for what rotation
 * divides between two files, at the end of a line.
 *
 * A regular file that would grow beyond max_size is renamed to PATH.1, what was that to PATH.2, and so on up to `backups`;
 * with 0 of them it is emptied. What is no regular file (a FIFO, a device) is written without waiting, and never rotated.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "worker/output-counters.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct file_settings {
    uint64_t max_size;
    unsigned backups;
};

/* Whole lines on their way into a file. */
struct job {
    struct list link;
    void *owner;
    struct output_counters *counters; /* the thread adds to `written`; NULL: nobody counts */
    size_t came;    /* bytes that it stands for, before any were left out */
    size_t size;
    /* When it is done: */
    size_t n_dropped, dropped_lines; /* of its bytes as they are now; of `came` nothing is written then but what is not in here */
    int error;        /* why: errno; 0: all is written */
    const char *step; /* "write", "open", … */
    char data[];
};

/* Where jobs go when they are done; made by whoever reads from it. */
struct done {
    pthread_mutex_t mutex;
    struct list jobs;
    int event_fd; /* readable when there are some */
};
int done_init(struct done *done);
/* All that are done, in their order, into an empty list. */
void done_take(struct done *done, struct list *ret);

struct file;

/* `again`: lines of a file that was cut in the middle are those of a process that was killed, and are marked. 0 or -errno. */
int file_new(const char *path, const struct file_settings *settings, bool again, struct done *done,
             struct file **ret);
const char *file_path(const struct file *file);
void file_set(struct file *file, const struct file_settings *settings);
/* Takes over the job (malloc-ed), which comes back by `done`. */
void file_write(struct file *file, struct job *job);
/* Opens it anew before the next line, after somebody renamed it. */
void file_reopen(struct file *file);
/* No job may be on its way. The thread ends when it can. */
struct file *file_free(struct file *file);
