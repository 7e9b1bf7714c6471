#include "logger/writer.h"

#include "base/fd.h"
#include "logger/datagrams.h"
#include "logger/records.h"
#include "logger/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Less than a stream waits before it drops lines. */
#define PLACE_WAIT_NSEC 100000000L
#define NSEC_PER_SEC    1000000000L

struct writer {
    enum writer_kind kind;
    char *name;
    struct done *done;
    /* The thread's alone: */
    struct target target;
    struct datagrams datagrams;
    struct log_place log;
    uint64_t waits_at;     /* the log's size in bytes from which on the next one is waited for */
    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t changed;
    struct list jobs;
    struct target_settings settings;
    struct log_place place; /* its fd is on the way to the thread */
    bool reopen, ends;
};

int done_init(struct done *done)
{
    list_init(&done->jobs);
    done->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return done->event_fd < 0 ? -errno : -pthread_mutex_init(&done->mutex, NULL);
}

void done_take(struct done *done, struct list *ret)
{
    uint64_t count;
    (void)!read(done->event_fd, &count, sizeof(count));
    (void)pthread_mutex_lock(&done->mutex);
    list_move_all(&done->jobs, ret);
    (void)pthread_mutex_unlock(&done->mutex);
}

static void put_done(struct done *done, struct job *job)
{
    const uint64_t one = 1;
    (void)pthread_mutex_lock(&done->mutex);
    list_append(&done->jobs, &job->link);
    (void)pthread_mutex_unlock(&done->mutex);
    (void)!write(done->event_fd, &one, sizeof(one));
}

/* With the mutex. */
static void take_place(struct writer *writer)
{
    if (writer->place.fd >= 0) {
        target_take(&writer->target, TAKE_FD(writer->place.fd));
        writer->waits_at = writer->place.max_size;
    }
    writer->log = writer->place;
}

/* Waits for something to do. False: the end. */
static bool await_work(struct writer *writer, struct list *ret)
{
    (void)pthread_mutex_lock(&writer->mutex);
    while (list_is_empty(&writer->jobs) && !writer->reopen && writer->place.fd < 0 && !writer->ends)
        (void)pthread_cond_wait(&writer->changed, &writer->mutex);
    list_move_all(&writer->jobs, ret);
    if (writer->reopen && writer->kind == WRITER_FILE)
        target_close(&writer->target);
    writer->reopen = false;
    writer->target.settings = writer->settings;
    take_place(writer);
    bool more = !writer->ends || !list_is_empty(ret);
    (void)pthread_mutex_unlock(&writer->mutex);
    return more;
}

/*
 * The master has been asked to rotate its log, and that takes a moment. A worker that prints fast fills many files in it: so no line
 * follows before there is a new file. Where none comes in time the old one may grow by its size again before one is waited for again:
 * a master that is slow has its log bounded, and one that is stopped does not stop the workers.
 */
static void await_place(struct writer *writer)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += PLACE_WAIT_NSEC;
    end.tv_sec += end.tv_nsec / NSEC_PER_SEC;
    end.tv_nsec %= NSEC_PER_SEC;
    (void)pthread_mutex_lock(&writer->mutex);
    int r = 0;
    while (writer->place.fd < 0 && !writer->ends && r == 0)
        r = pthread_cond_timedwait(&writer->changed, &writer->mutex, &end);
    writer->waits_at += writer->log.max_size;
    take_place(writer);
    (void)pthread_mutex_unlock(&writer->mutex);
}

static void release(struct writer *writer)
{
    target_clear(&writer->target);
    datagrams_clear(&writer->datagrams);
    (void)fd_close(writer->place.fd);
    (void)pthread_cond_destroy(&writer->changed);
    (void)pthread_mutex_destroy(&writer->mutex);
    free(writer->name);
    free(writer);
}

static uint64_t log_size(const struct writer *writer)
{
    struct stat st;
    return fstat(writer->target.fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static bool is_log_full(const struct writer *writer)
{
    return writer->log.max_size > 0 && log_size(writer) >= writer->log.max_size;
}

static void write_to_log(struct writer *writer, struct job *job)
{
    if (writer->log.format == LOG_FORMAT_JOURNAL) {
        datagrams_to_journal(&writer->datagrams, writer->log.identifier, job);
        return;
    }
    records_write(&writer->target, writer->log.format, job);
    job->log_is_full = is_log_full(writer);
}

static void write_job(struct writer *writer, struct job *job)
{
    switch (writer->kind) {
    case WRITER_FILE:
        target_write(&writer->target, job);
        break;
    case WRITER_LOG:
        write_to_log(writer, job);
        break;
    case WRITER_JOURNAL:
        datagrams_to_journal(&writer->datagrams, job->origin->subject.program, job);
        break;
    case WRITER_SYSLOG:
        datagrams_to_syslog(&writer->datagrams, job);
        break;
    }
    job_settle(job);
}

static void *run(void *userdata)
{
    struct writer *writer = userdata;
    struct list jobs;
    list_init(&jobs);
    while (await_work(writer, &jobs))
        LIST_FOREACH_SAFE (job, &jobs, struct job, link) {
            list_remove(&job->link);
            write_job(writer, job);
            bool is_full = job->log_is_full;
            put_done(writer->done, job);
            if (is_full && log_size(writer) >= writer->waits_at)
                await_place(writer);
        }
    release(writer);
    return NULL;
}

static void init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

int writer_new(enum writer_kind kind, const char *name, bool again, struct done *done,
               struct writer **ret)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    if (!writer)
        return -ENOMEM;
    *writer = (struct writer){
        .kind = kind,
        .name = strdup(name),
        .target = {.fd = -1, .marks_cut = again},
        .datagrams = {.fd = -1},
        .place = {.fd = -1},
        .done = done,
    };
    list_init(&writer->jobs);
    (void)pthread_mutex_init(&writer->mutex, NULL);
    init_changed(&writer->changed);
    int r = writer->name ? 0 : -ENOMEM;
    if (r == 0 && kind == WRITER_FILE)
        r = target_set_path(&writer->target, name);
    if (r == 0)
        r = thread_start(run, writer);
    if (r < 0) {
        release(writer);
        return r;
    }
    *ret = writer;
    return 0;
}

const char *writer_name(const struct writer *writer)
{
    return writer->name;
}

enum writer_kind writer_get_kind(const struct writer *writer)
{
    return writer->kind;
}

void writer_set_file(struct writer *writer, const struct target_settings *settings)
{
    (void)pthread_mutex_lock(&writer->mutex);
    writer->settings = *settings;
    (void)pthread_mutex_unlock(&writer->mutex);
}

int writer_set_log(struct writer *writer, const struct log_place *place)
{
    int fd = place->fd >= 0 ? fcntl(place->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (place->fd >= 0 && fd < 0)
        return -errno;
    (void)pthread_mutex_lock(&writer->mutex);
    (void)fd_close(writer->place.fd);
    writer->place = *place;
    writer->place.fd = fd;
    (void)pthread_cond_signal(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
    return 0;
}

void writer_write(struct writer *writer, struct job *job)
{
    (void)pthread_mutex_lock(&writer->mutex);
    list_append(&writer->jobs, &job->link);
    (void)pthread_cond_signal(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
}

void writer_reopen(struct writer *writer)
{
    (void)pthread_mutex_lock(&writer->mutex);
    writer->reopen = true;
    (void)pthread_cond_signal(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
}

struct writer *writer_free(struct writer *writer)
{
    if (!writer)
        return NULL;
    (void)pthread_mutex_lock(&writer->mutex);
    writer->ends = true;
    (void)pthread_cond_signal(&writer->changed);
    (void)pthread_mutex_unlock(&writer->mutex);
    return NULL;
}
