/*
 * target.h - the disk's side of a file: opening, appending whole lines, rotating. Blocking calls, for a thread of their own.
 *
 * What could not be written (a full disk) is dropped whole lines at a time; the part of a line that found room is taken back. A file that ends within
 * a line, because the process that wrote it was killed, is completed first: new lines begin on a line of their own.
 */
#pragma once

#include "logger/file.h"

struct target {
    char *path; /* owned */
    int fd;     /* -1: not open */
    bool regular;
    bool torn;        /* no regular file, and its last line has no end yet */
    bool marks_cut;   /* a line without an end is that of a process that was killed */
    uint64_t size;    /* of a regular file */
    uint64_t grown;   /* rotation failed: it may grow to this */
    uint64_t retry_usec; /* monotonic: when to try again to open it */
    int open_error;
    struct file_settings settings;
};

#define TARGET_MARK " [the rest of this line is lost]\n"

/* Writes a job's lines, and says in it what was dropped and why. */
void target_write(struct target *target, struct job *job);
void target_close(struct target *target);
void target_clear(struct target *target);
