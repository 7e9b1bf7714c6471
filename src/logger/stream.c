#include "logger/stream.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"
#include "base/lines.h"
#include "logger/logger.h"
#include "logger/tap.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PATIENCE_USEC (1 * USEC_PER_SEC)
/* Between two words about what is dropped. */
#define SAY_USEC (10 * USEC_PER_SEC)

/* Dropping */

static void set_reason(struct stream *stream, char *why)
{
    if (!why)
        return;
    free(stream->why);
    stream->why = why;
}

static void count_dropped(struct stream *stream, size_t bytes, size_t lines)
{
    stream->counters->dropped += bytes;
    stream->counters->dropped_lines += lines;
    stream->unsaid_bytes += bytes;
    stream->unsaid_lines += lines;
    logger_tick(stream->logger);
}

void stream_say(struct stream *stream)
{
    if (stream->unsaid_lines == 0)
        return;
    CLEANUP_FREE char *text = string_format(
        "%s: %" PRIu64 " %s dropped (%" PRIu64 " bytes): %s", stream->origin.stream,
        stream->unsaid_lines, stream->unsaid_lines == 1 ? "line is" : "lines are",
        stream->unsaid_bytes, stream->why ? stream->why : "no memory");
    if (text)
        logger_say(stream->logger, stream->number, text);
    stream->counters->said += stream->unsaid_bytes;
    stream->unsaid_lines = stream->unsaid_bytes = 0;
    stream->said_usec = clock_monotonic_usec();
}

/* A line counts as dropped where it ends. */
static void drop(struct stream *stream, const char *data, size_t size)
{
    if (size == 0)
        return;
    count_dropped(stream, size, lines_count(data, size));
    if (stream->tapped)
        stream->tap_missed += lines_count(data, size);
    stream->skipping = data[size - 1] != '\n';
}

static void drop_carry(struct stream *stream)
{
    drop(stream, stream->carry, stream->n_carry);
    stream->n_carry = 0;
}

/* Lines */

static int keep(struct stream *stream, const char *data, size_t size)
{
    size_t needed = stream->n_carry + size;
    if (needed > stream->carry_allocated) {
        size_t room = MAX(needed, 2 * stream->carry_allocated);
        char *larger = realloc(stream->carry, room);
        if (!larger)
            return -ENOMEM;
        stream->carry = larger;
        stream->carry_allocated = room;
    }
    memcpy(stream->carry + stream->n_carry, data, size);
    stream->n_carry = needed;
    return 0;
}

/* Long lines are rare: their room is given back. */
static void empty_carry(struct stream *stream)
{
    stream->n_carry = 0;
    if (stream->carry_allocated > OUTPUT_READ_SIZE) {
        free(TAKE_PTR(stream->carry));
        stream->carry_allocated = 0;
    }
}

static void send_job(struct stream *stream, struct job *job)
{
    stream->job = job;
    stream->job_usec = clock_monotonic_usec();
    stream->behind = stream->late;
    if (!stream->behind)
        (void)sd_event_source_set_enabled(stream->source, SD_EVENT_OFF);
    logger_tick(stream->logger);
    writer_write(stream->writer, job);
}

void stream_open(struct stream *stream)
{
    struct job *job = malloc(sizeof(*job) + 1);
    if (!job)
        return;
    *job = (struct job){.owner = stream, .origin = &stream->origin, .counters = stream->counters};
    list_init(&job->link);
    send_job(stream, job);
}

/* The line that has begun, and whole lines behind it, on their way. */
static void submit(struct stream *stream, const char *data, size_t size)
{
    size_t came = stream->n_carry + size;
    struct job *job = malloc(sizeof(*job) + came + 1);
    if (!job) {
        drop_carry(stream);
        drop(stream, data, size);
        stream->skipping = false;
        return;
    }
    *job = (struct job){.owner = stream,
                        .origin = &stream->origin,
                        .counters = stream->counters,
                        .came = came,
                        .size = came};
    list_init(&job->link);
    if (stream->n_carry > 0)
        memcpy(job->data, stream->carry, stream->n_carry);
    memcpy(job->data + stream->n_carry, data, size);
    if (job->data[came - 1] != '\n')
        job->data[job->size++] = '\n';
    if (stream->strips_ansi)
        job->size = lines_strip_ansi(job->data, job->size);
    empty_carry(stream);
    if (stream->tapped)
        tap_lines(stream, job->data, job->size);
    send_job(stream, job);
}

static void hold_back(struct stream *stream, const char *data, size_t size)
{
    if (size == 0 || (stream->n_carry + size <= STREAM_LINE_MAX && keep(stream, data, size) == 0))
        return;
    set_reason(stream, strdup("a line is longer than 1 MiB"));
    drop_carry(stream);
    drop(stream, data, size);
}

static void take(struct stream *stream, const char *data, size_t size)
{
    if (stream->behind) {
        drop(stream, data, size);
        return;
    }
    if (stream->skipping) {
        size_t rest = lines_first(data, size);
        drop(stream, data, rest);
        data += rest;
        size -= rest;
    }
    size_t whole = lines_whole(data, size);
    if (whole > 0)
        submit(stream, data, whole);
    if (stream->behind)
        drop(stream, data + whole, size - whole);
    else
        hold_back(stream, data + whole, size - whole);
}

/* The end */

bool stream_is_over(const struct stream *stream)
{
    return stream->at_end && !stream->job && stream->n_carry == 0;
}

static void end(struct stream *stream)
{
    stream->at_end = true;
    stream->source = sd_event_source_disable_unref(stream->source);
    if (stream->skipping)
        count_dropped(stream, 0, 1);
    stream->skipping = false;
    if (stream->n_carry > 0 && !stream->job)
        submit(stream, "", 0);
    logger_release(stream->logger, stream);
}

/* What we say of the position is true at any moment, as we may be killed at any. */
static ssize_t read_pipe(struct stream *stream, char *buffer, size_t size)
{
    struct output_counters *counters = stream->counters;
    uint64_t position = counters->position;
    counters->position = OUTPUT_READING;
    ssize_t n = read(stream->fd, buffer, size);
    int error = errno;
    if (n > 0) {
        counters->read += (uint64_t)n;
        position = buffer[n - 1] == '\n' ? OUTPUT_AT_LINE : OUTPUT_WITHIN_LINE;
    }
    counters->position = position;
    errno = error;
    return n;
}

void stream_read(struct stream *stream)
{
    struct logger *logger = stream->logger;
    ssize_t n = read_pipe(stream, logger->buffer, sizeof(logger->buffer));
    if (n > 0) {
        take(stream, logger->buffer, (size_t)n);
    } else if (n == 0 || (errno == EAGAIN && logger->finishing)) {
        end(stream);
    } else if (errno != EAGAIN && errno != EINTR) {
        set_reason(stream, string_format("cannot read the pipe: %s", strerror(errno)));
        end(stream);
    }
}

static int on_readable(sd_event_source *source UNUSED, int fd UNUSED, uint32_t revents UNUSED,
                       void *userdata)
{
    stream_read(userdata);
    return 0;
}

/* Jobs */

static const char *hint_of(const struct job *job)
{
    if (strcmp(job->step, "open") != 0)
        return "";
    if (job->error == ENOENT)
        return " (its directory is made, those above it are not)";
    return job->error == ENXIO ? " (a FIFO that nobody reads, or a socket)" : "";
}

static void note_failure(struct stream *stream, const struct job *job)
{
    const char *why = job->error == EAGAIN ? "its reader does not keep up" : strerror(job->error);
    set_reason(stream, string_format("cannot %s %s: %s%s", job->step, writer_name(stream->writer),
                                     why, hint_of(job)));
    if (job->came == 0 && stream->why) {
        CLEANUP_FREE char *text = string_format(
            "%s: %s; until that works, what it prints is dropped", stream->origin.stream,
            stream->why);
        logger_say(stream->logger, stream->number, text ? text : stream->why);
    }
    if (job->came == 0)
        return;
    if (job->n_dropped > 0) {
        count_dropped(stream, job->n_dropped, job->dropped_lines);
        return;
    }
    uint64_t now = clock_monotonic_usec();
    if (stream->said_usec > 0 && now - stream->said_usec < SAY_USEC)
        return;
    stream->said_usec = now;
    logger_say(stream->logger, stream->number, stream->why);
}

void stream_job_done(struct stream *stream, struct job *job)
{
    if (job->error != 0)
        note_failure(stream, job);
    free(job);
    stream->job = NULL;
    stream->behind = false;
    stream->late = clock_monotonic_usec() - stream->job_usec >= PATIENCE_USEC;
    if (stream->at_end) {
        if (stream->n_carry > 0)
            submit(stream, "", 0);
        logger_release(stream->logger, stream);
    } else if (stream->logger->finishing) {
        stream_read(stream);
    } else {
        (void)sd_event_source_set_enabled(stream->source, SD_EVENT_ON);
    }
}

void stream_tap(struct stream *stream, bool on)
{
    stream->tapped = on;
    stream->tap_missed = 0;
}

bool stream_look(struct stream *stream, uint64_t now_usec)
{
    if (stream->job && !stream->behind && now_usec - stream->job_usec >= PATIENCE_USEC) {
        set_reason(stream,
                   string_format("%s does not take them in time", writer_name(stream->writer)));
        stream->behind = true;
        drop_carry(stream);
        if (stream->source)
            (void)sd_event_source_set_enabled(stream->source, SD_EVENT_ON);
    }
    if (stream->unsaid_lines > 0 &&
        (stream->said_usec == 0 || now_usec - stream->said_usec >= SAY_USEC))
        stream_say(stream);
    bool missed = tap_tell_missed(stream);
    return stream->job || stream->unsaid_lines > 0 || missed;
}

static int copy_origin(struct stream *stream)
{
    struct log_subject *subject = &stream->origin.subject;
    subject->program = strdup(subject->program);
    subject->worker = strdup(subject->worker);
    stream->origin.stream = strdup(stream->origin.stream);
    return subject->program && subject->worker && stream->origin.stream ? 0 : -ENOMEM;
}

int stream_new(struct logger *logger, const struct stream_params *params, struct stream **ret)
{
    CLEANUP_FD int fd = params->fd;
    CLEANUP(stream_freep) struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return -ENOMEM;
    *stream = (struct stream){
        .logger = logger,
        .number = params->number,
        .origin = params->origin,
        .fd = TAKE_FD(fd),
        .strips_ansi = params->strips_ansi,
        .tapped = params->tapped,
        .writer = params->writer,
        .counters = params->counters,
        .skipping = params->counters->position != OUTPUT_AT_LINE,
    };
    if (stream->skipping)
        set_reason(stream, strdup("a reloader-log that died had begun to read it"));
    params->counters->position = stream->skipping ? OUTPUT_WITHIN_LINE : OUTPUT_AT_LINE;
    list_init(&stream->link);
    int r = copy_origin(stream);
    if (r == 0)
        r = sd_event_add_io(logger->event, &stream->source, stream->fd, EPOLLIN, on_readable,
                            stream);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(stream->source, "stream");
    *ret = TAKE_PTR(stream);
    return 0;
}

struct stream *stream_free(struct stream *stream)
{
    if (!stream)
        return NULL;
    list_remove(&stream->link);
    (void)sd_event_source_disable_unref(stream->source);
    (void)fd_close(stream->fd);
    free(stream->carry);
    free(stream->why);
    free((char *)(uintptr_t)stream->origin.subject.program);
    free((char *)(uintptr_t)stream->origin.subject.worker);
    free((char *)(uintptr_t)stream->origin.stream);
    free(stream);
    return NULL;
}
