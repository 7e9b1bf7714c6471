/*
 * writer.h - one place that lines are written to, by a thread of its own: a disk that hangs, a reader that is slow or a journal that
 * has stopped holds up nobody else.
 *
 * There is one for each path, and one each for the journal, for syslog and for the master's log, however many streams write to it; it
 * lives as long as the last of them. Jobs are whole lines and are written in the order of their coming.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "logger/job.h"
#include "logger/target.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum writer_kind {
    WRITER_FILE,
    WRITER_LOG, /* the master's: its format, and its journal or a descriptor of its own */
    WRITER_JOURNAL,
    WRITER_SYSLOG,
};

/* Where the master's log goes. */
struct log_place {
    enum log_format format;
    char identifier[128]; /* in the journal */
    int fd; /* of text and JSON; -1: unknown yet */
    uint64_t max_size; /* the master rotates a file that is larger; 0: none */
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

struct writer;

/*
 * `name` is a file's path, else for people. `again`: lines of a file that was cut in the middle are those of a process that was killed,
 * and are marked. 0 or -errno.
 */
int writer_new(enum writer_kind kind, const char *name, bool again, struct done *done,
               struct writer **ret);
const char *writer_name(const struct writer *writer);
enum writer_kind writer_get_kind(const struct writer *writer);
void writer_set_file(struct writer *writer, const struct target_settings *settings);
/* Its descriptor is duplicated. 0 or -errno. */
int writer_set_log(struct writer *writer, const struct log_place *place);
/* Takes over the job (malloc-ed), which comes back by `done`. */
void writer_write(struct writer *writer, struct job *job);
/* Opens the file anew before the next line, after somebody renamed it. */
void writer_reopen(struct writer *writer);
/* No job may be on its way. The thread ends when it can. */
struct writer *writer_free(struct writer *writer);
