#include "logger/logger.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/message.h"
#include "base/strv.h"
#include "helper/master-link.h"
#include "logger/outlet.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define TICK_USEC (50 * USEC_PER_MSEC)
/* From the master's word to the end, whatever is left; it waits a little longer. */
#define FINISH_USEC (4 * USEC_PER_SEC)
#define ASK_AGAIN_USEC (1 * USEC_PER_SEC)

/* To the master */

static char **about(const char *type, uint64_t number)
{
    CLEANUP_STRV char **fields = NULL;
    if (strv_appendf(&fields, "TYPE=%s", type) < 0 ||
        strv_appendf(&fields, "NUMBER=%llu", (unsigned long long)number) < 0)
        return NULL;
    return TAKE_PTR(fields);
}

void logger_say(struct logger *logger, uint64_t number, const char *text)
{
    CLEANUP_STRV char **fields = about("say", number);
    if (fields && strv_appendf(&fields, "TEXT=%s", text) == 0)
        (void)master_link_tell(logger->master, fields);
}

/* Where the master cannot rotate it, its log stays what it is, and it is asked again, but not all the time. */
static void ask_for_rotation(struct logger *logger)
{
    static char *const full[] = {(char *)(uintptr_t) "TYPE=full", NULL};
    uint64_t now = clock_monotonic_usec();
    if (logger->asked_usec != 0 && now < logger->asked_usec + ASK_AGAIN_USEC)
        return;
    logger->asked_usec = now;
    (void)master_link_tell(logger->master, full);
}

static bool is_over(const struct logger *logger)
{
    return list_is_empty(&logger->streams) && (logger->finishing || logger->master < 0);
}

void logger_release(struct logger *logger, struct stream *stream)
{
    if (!stream_is_over(stream))
        return;
    stream_say(stream);
    (void)tap_tell_missed(stream);
    CLEANUP_STRV char **fields = about("ended", stream->number);
    const struct writer *writer = stream->writer;
    (void)stream_free(stream);
    outlet_drop(&logger->outlets, writer);
    if (fields)
        (void)master_link_tell(logger->master, fields);
    if (is_over(logger))
        (void)sd_event_exit(logger->event, EXIT_SUCCESS);
}

/* From the master */

static int kind_of(char **fields, enum writer_kind *ret)
{
    static const char *const names[] = {
        [WRITER_FILE] = "file",
        [WRITER_LOG] = "log",
        [WRITER_JOURNAL] = "journal",
        [WRITER_SYSLOG] = "syslog",
    };
    const char *to = strv_env_get(fields, "TO");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (string_equal(to, names[i])) {
            *ret = (enum writer_kind)i;
            return 0;
        }
    return -EBADMSG;
}

static int find_writer(struct logger *logger, char **fields, struct writer **ret)
{
    const struct target_settings settings = {
        .max_size = master_link_number(fields, "MAX_SIZE"),
        .backups = (unsigned)master_link_number(fields, "BACKUPS"),
        .compress = master_link_number(fields, "COMPRESS") > 0,
    };
    struct outlet_params params = {
        .path = strv_env_get(fields, "PATH"),
        .settings = &settings,
        .log = &logger->log,
        .again = master_link_number(fields, "AGAIN") > 0,
        .done = &logger->done,
    };
    int r = kind_of(fields, &params.kind);
    if (r < 0 || (params.kind == WRITER_FILE && !params.path))
        return -EBADMSG;
    return outlet_take(&logger->outlets, &params, ret);
}

static struct stream_params params_of(char **fields)
{
    return (struct stream_params){
        .number = master_link_number(fields, "NUMBER"),
        .strips_ansi = master_link_number(fields, "STRIP_ANSI") > 0,
        .tapped = master_link_number(fields, "TAP") > 0,
        .origin =
            {
                .subject =
                    {
                        .program = strv_env_get(fields, "PROGRAM"),
                        .worker = strv_env_get(fields, "WORKER"),
                        .slot = (unsigned)master_link_number(fields, "SLOT"),
                        .generation = master_link_number(fields, "GENERATION"),
                        .pid = (pid_t)master_link_number(fields, "PID"),
                    },
                .stream = strv_env_get(fields, "STREAM"),
            },
    };
}

static int add_stream(struct logger *logger, char **fields, int fd)
{
    CLEANUP_FD int pipe_fd = fd;
    struct stream_params params = params_of(fields);
    const struct log_subject *subject = &params.origin.subject;
    struct stream *stream = NULL;
    if (!subject->program || !subject->worker || !params.origin.stream ||
        params.number >= OUTPUT_PIPES_MAX)
        return -EBADMSG;
    int r = find_writer(logger, fields, &params.writer);
    if (r < 0)
        return r;
    params.counters = &logger->counters[params.number];
    params.fd = TAKE_FD(pipe_fd);
    r = stream_new(logger, &params, &stream);
    if (r < 0) {
        outlet_drop(&logger->outlets, params.writer);
        return r;
    }
    list_append(&logger->streams, &stream->link);
    if (writer_get_kind(params.writer) == WRITER_FILE)
        stream_open(stream);
    return 0;
}

/* The master's log has another format, or is elsewhere from now on. Where there are no descriptors any more, the old one is as good as any for a while. */
static void set_log(struct logger *logger, char **fields, int fd)
{
    static char *const refused[] = {(char *)(uintptr_t) "TYPE=log_refused", NULL};
    const char *identifier = strv_env_get(fields, "IDENTIFIER");
    if (fd < 0 && master_link_number(fields, "PASSED") > 0) {
        (void)master_link_tell(logger->master, refused);
        return;
    }
    (void)fd_close(logger->log.fd);
    logger->log = (struct log_place){.fd = fd};
    logger->asked_usec = 0;
    logger->log.format = (enum log_format)master_link_number(fields, "FORMAT");
    logger->log.max_size = master_link_number(fields, "MAX_SIZE");
    (void)snprintf(logger->log.identifier, sizeof(logger->log.identifier), "%s",
                   identifier ? identifier : "reloader");
    if (outlet_set_log(&logger->outlets, &logger->log) < 0)
        (void)master_link_tell(logger->master, refused);
}

/* What is in the pipes now is still written; who holds on to one writes to nobody from now on. */
static void finish(struct logger *logger)
{
    logger->finishing = true;
    LIST_FOREACH_SAFE(stream, &logger->streams, struct stream, link) {
        if (!stream->job)
            stream_read(stream);
    }
    if (is_over(logger))
        (void)sd_event_exit(logger->event, EXIT_SUCCESS);
}

static int on_late(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct logger *logger = userdata;
    LIST_FOREACH(stream, &logger->streams, struct stream, link)
        stream_say(stream);
    return sd_event_exit(logger->event, EXIT_FAILURE);
}

static void tap(struct logger *logger, char **fields)
{
    LIST_FOREACH(stream, &logger->streams, struct stream, link)
        if (stream->number == master_link_number(fields, "NUMBER"))
            stream_tap(stream, master_link_number(fields, "TAP") > 0);
}

/* The master keeps it, and offers it again. */
static void refuse(struct logger *logger, uint64_t number, int error)
{
    CLEANUP_STRV char **fields = about("refused", number);
    if (fields && strv_appendf(&fields, "TEXT=%s", strerror(-error)) == 0)
        (void)master_link_tell(logger->master, fields);
}

static void handle_message(struct logger *logger, char **fields, int fd)
{
    const char *type = strv_env_get(fields, "TYPE");
    if (string_equal(type, "pipe")) {
        /* Its descriptor is lost on the way where we have too many. */
        int r = fd < 0 ? -EMFILE : add_stream(logger, fields, fd);
        if (r < 0)
            refuse(logger, master_link_number(fields, "NUMBER"), r);
        return;
    }
    if (string_equal(type, "log")) {
        set_log(logger, fields, fd);
        return;
    }
    (void)fd_close(fd);
    if (master_link_answer(logger->master, fields))
        return;
    if (string_equal(type, "reopen")) {
        outlet_reopen_all(&logger->outlets);
    } else if (string_equal(type, "tap")) {
        tap(logger, fields);
    } else if (string_equal(type, "finish") && !logger->finishing) {
        (void)sd_event_add_time_relative(logger->event, NULL, CLOCK_MONOTONIC, FINISH_USEC, 0,
                                         on_late, logger);
        finish(logger);
    }
}

/* Without a master we go on until nobody prints any more: its workers may outlive it. */
static void lose_master(struct logger *logger)
{
    logger->master_source = sd_event_source_disable_unref(logger->master_source);
    logger->master = fd_close(logger->master);
    LIST_FOREACH(stream, &logger->streams, struct stream, link)
        stream_tap(stream, false);
    if (is_over(logger))
        (void)sd_event_exit(logger->event, EXIT_SUCCESS);
}

static int on_master(sd_event_source *source UNUSED, int fd UNUSED, uint32_t revents UNUSED,
                     void *userdata)
{
    struct logger *logger = userdata;
    CLEANUP_STRV char **fields = NULL;
    int passed = -1;
    int r = message_receive(logger->master, &fields, &passed);
    if (r == 1)
        handle_message(logger, fields, passed);
    else if (r != -EAGAIN && r != -EBADMSG && r != -ENOMEM)
        lose_master(logger);
    return 0;
}

/* Jobs and time */

static void take_done(struct logger *logger)
{
    struct list jobs;
    list_init(&jobs);
    done_take(&logger->done, &jobs);
    LIST_FOREACH_SAFE(job, &jobs, struct job, link) {
        list_remove(&job->link);
        if (job->log_is_full)
            ask_for_rotation(logger);
        stream_job_done(job->owner, job);
    }
}

static int on_done(sd_event_source *source UNUSED, int fd UNUSED, uint32_t revents UNUSED,
                   void *userdata)
{
    take_done(userdata);
    return 0;
}

void logger_tick(struct logger *logger)
{
    if (logger->ticking)
        return;
    logger->ticking = true;
    (void)sd_event_source_set_time(logger->tick, clock_monotonic_usec() + TICK_USEC);
    (void)sd_event_source_set_enabled(logger->tick, SD_EVENT_ONESHOT);
}

static int on_tick(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct logger *logger = userdata;
    uint64_t now_usec = clock_monotonic_usec();
    bool more = false;
    logger->ticking = false;
    /* Where we are late ourselves, a job is not late that is done. */
    take_done(logger);
    LIST_FOREACH_SAFE(stream, &logger->streams, struct stream, link)
        more = stream_look(stream, now_usec) || more;
    if (more)
        logger_tick(logger);
    return 0;
}

/* The whole */

static int set_up(struct logger *logger, int counters_fd)
{
    size_t size = OUTPUT_PIPES_MAX * sizeof(struct output_counters);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, counters_fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    logger->counters = memory;
    int r = done_init(&logger->done);
    if (r == 0)
        r = sd_event_new(&logger->event);
    if (r >= 0)
        r = sd_event_add_io(logger->event, &logger->master_source, logger->master, EPOLLIN,
                            on_master, logger);
    if (r >= 0)
        r = sd_event_add_io(logger->event, &logger->done_source, logger->done.event_fd, EPOLLIN,
                            on_done, logger);
    if (r >= 0)
        r = sd_event_add_time(logger->event, &logger->tick, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                              on_tick, logger);
    return r < 0 ? r : sd_event_source_set_enabled(logger->tick, SD_EVENT_OFF);
}

/* It ends with the process; threads may still use what it has. */
int logger_run(int master, int counters_fd)
{
    CLEANUP_FD int counters = counters_fd;
    struct logger *logger = calloc(1, sizeof(*logger));
    if (!logger)
        return -ENOMEM;
    logger->master = master;
    logger->log.fd = -1;
    list_init(&logger->streams);
    list_init(&logger->outlets);
    int r = set_up(logger, counters);
    return r < 0 ? r : sd_event_loop(logger->event);
}
