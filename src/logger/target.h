/*
 * target.h - a file that lines are appended to: opening, writing whole lines, rotating. Blocking calls, for a thread of their own.
 *
 * Lines go out with as few writes as can be: to a regular file, opened for appending, all at once but for what rotation divides between
 * two files, at the end of a line; to a pipe in parts that nobody else's lines can get into (PIPE_BUF), and a line that is longer is
 * written to its end however long that takes. What could not be written (a full disk, a reader that does not read) is dropped whole lines at a time;
 * the part of a line that found room is taken back. A file that ends within a line, because the process that wrote it was killed, is completed
 * first: new lines begin on a line of their own.
 *
 * A regular file that would grow beyond max_size is rotated (rotation.h); with 0 backups it is emptied.
 */
#pragma once

#include "logger/job.h"

#include <stdbool.h>
#include <stdint.h>

struct target_settings {
    uint64_t max_size;
    unsigned backups;
    bool compress;
};

struct target {
    char *path; /* owned; NULL: its descriptor was given to us */
    struct rotation *rotation; /* of a path */
    int fd;     /* -1: not open */
    bool regular; /* and by a path: we know its size, and rotate it */
    bool torn;        /* its last line has no end yet */
    bool marks_cut;   /* a line without an end is that of a process that was killed */
    uint64_t size;    /* of a regular file */
    uint64_t grown;   /* rotation failed: it may grow to this */
    uint64_t retry_usec; /* monotonic: when to try again to open it */
    int open_error;
    struct target_settings settings;
};

#define TARGET_MARK " [the rest of this line is lost]\n"

/* 0 or -ENOMEM. */
int target_set_path(struct target *target, const char *path);
/* Its descriptor, from now on; taken over. */
void target_take(struct target *target, int fd);

/* Writes a job's lines, rotating as needed, and says in it what was dropped and why. */
void target_write(struct target *target, struct job *job);
/* Writes lines as they are: how many bytes of whole lines. If that is not all, *ret_error (errno) says why. It is open. */
size_t target_append(struct target *target, const char *data, size_t size, int *ret_error);

void target_close(struct target *target);
void target_clear(struct target *target);
