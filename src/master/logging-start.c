/* How reloader-log is started, told of pipes, and mourned. */
#include "master/logging.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/message.h"
#include "base/strv.h"
#include "process/pidfd.h"
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The counters */

static int make_counters(struct logging *logging)
{
    size_t size = OUTPUT_PIPES_MAX * sizeof(struct output_counters);
    CLEANUP_FD int fd = memfd_create("reloader-output-counters", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return -errno;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    logging->counters = memory;
    logging->counters_fd = TAKE_FD(fd);
    return 0;
}

/* Starting */

static int spawn_it(struct logging *logging, int its_socket)
{
    char *const argv[] = {(char *)(uintptr_t) "reloader-log", NULL};
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return -errno;
    const int fds[] = {its_socket, logging->counters_fd};
    const struct spawn_params params = {
        .argv = argv,
        .envp = environ,
        .executable = logging->executable,
        .stdin_fd = null_fd,
        .stdout_fd = null_fd,
        .stderr_fd = -1,
        .fds = fds,
        .n_fds = ARRAY_SIZE(fds),
    };
    struct spawn_failure failure;
    return spawn(&params, &logging->pid, &logging->pidfd, &failure);
}

int logging_start(struct logging *logging)
{
    int pair[2];
    int r = logging->executable ? 0 : -ENOENT;
    if (r == 0 && !logging->counters)
        r = make_counters(logging);
    if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        r = -errno;
    if (r < 0)
        return r;
    r = spawn_it(logging, pair[1]);
    (void)fd_close(pair[1]);
    if (r < 0) {
        (void)fd_close(pair[0]);
        return r;
    }
    logging->socket = pair[0];
    logging->started_usec = clock_monotonic_usec();
    return 0;
}

/* Telling */

static const char *to_name(enum config_output_to to)
{
    switch (to) {
    case CONFIG_OUTPUT_FILE:
        return "file";
    case CONFIG_OUTPUT_JOURNAL:
        return "journal";
    case CONFIG_OUTPUT_SYSLOG:
        return "syslog";
    case CONFIG_OUTPUT_LOG:
        return "log";
    case CONFIG_OUTPUT_INHERIT:
    case CONFIG_OUTPUT_NULL:
        break;
    }
    return "null";
}

static int describe_worker(const struct output_pipe *pipe, char ***ret)
{
    const struct log_subject subject = output_pipe_subject(pipe);
    int r = strv_appendf(ret, "PROGRAM=%s", subject.program);
    if (r == 0)
        r = strv_appendf(ret, "WORKER=%s", subject.worker);
    if (r == 0)
        r = strv_appendf(ret, "SLOT=%u", subject.slot);
    if (r == 0)
        r = strv_appendf(ret, "GENERATION=%" PRIu64, subject.generation);
    if (r == 0)
        r = strv_appendf(ret, "PID=%d", (int)subject.pid);
    if (r == 0)
        r = strv_appendf(ret, "STREAM=%s", output_stream_name(pipe->stream));
    return r;
}

static int describe_file(const struct output_pipe *pipe, char ***ret)
{
    const struct config_output *settings = pipe->settings;
    int r = pipe->path ? strv_appendf(ret, "PATH=%s", pipe->path) : 0;
    if (r == 0)
        r = strv_appendf(ret, "MAX_SIZE=%" PRIu64, settings->max_size);
    if (r == 0)
        r = strv_appendf(ret, "BACKUPS=%u", settings->backups);
    if (r == 0)
        r = strv_appendf(ret, "COMPRESS=%d", settings->compress);
    if (r == 0)
        r = strv_appendf(ret, "AGAIN=%d", pipe->was_handed);
    return r;
}

static int describe(const struct output_pipe *pipe, bool tapped, char ***ret)
{
    /* A log that people read on a terminal holds no such sequences, whatever is asked for. */
    bool strips = pipe->settings->strip_ansi || pipe->settings->to == CONFIG_OUTPUT_LOG;
    int r = strv_appendf(ret, "TYPE=pipe");
    if (r == 0)
        r = strv_appendf(ret, "NUMBER=%" PRIu64, pipe->number);
    if (r == 0)
        r = strv_appendf(ret, "TO=%s", to_name(pipe->settings->to));
    if (r == 0)
        r = strv_appendf(ret, "STRIP_ANSI=%d", strips);
    if (r == 0)
        r = strv_appendf(ret, "TAP=%d", tapped);
    if (r == 0)
        r = describe_worker(pipe, ret);
    return r == 0 ? describe_file(pipe, ret) : r;
}

static int tell_of(struct logging *logging, struct output_pipe *pipe)
{
    CLEANUP_STRV char **fields = NULL;
    bool tapped = logging->ops->wanted(pipe, logging->userdata);
    int r = describe(pipe, tapped, &fields);
    if (r == 0)
        r = message_send(logging->socket, fields, pipe->read_fd);
    if (r < 0)
        return r;
    pipe->was_handed = true;
    pipe->tapped = tapped;
    list_remove(&pipe->link);
    list_append(&logging->handed, &pipe->link);
    return 0;
}

static int tell_of_log(const struct logging *logging)
{
    CLEANUP_STRV char **fields = NULL;
    const char *identifier = log_get_identifier();
    int r = strv_appendf(&fields, "TYPE=log");
    if (r == 0)
        r = strv_appendf(&fields, "FORMAT=%d", (int)log_get_format());
    if (r == 0)
        r = strv_appendf(&fields, "MAX_SIZE=%" PRIu64, log_get_max_size());
    if (r == 0 && identifier)
        r = strv_appendf(&fields, "IDENTIFIER=%s", identifier);
    if (r < 0)
        return r;
    return message_send(logging->socket, fields,
                        log_get_format() == LOG_FORMAT_JOURNAL ? -1 : log_get_lasting_fd());
}

static int tell_of_tap(struct logging *logging, struct output_pipe *pipe)
{
    CLEANUP_STRV char **fields = NULL;
    bool tapped = logging->ops->wanted(pipe, logging->userdata);
    if (tapped == pipe->tapped)
        return 0;
    int r = strv_appendf(&fields, "TYPE=tap");
    if (r == 0)
        r = strv_appendf(&fields, "NUMBER=%" PRIu64, pipe->number);
    if (r == 0)
        r = strv_appendf(&fields, "TAP=%d", tapped);
    if (r == 0)
        r = message_send(logging->socket, fields, -1);
    if (r == 0)
        pipe->tapped = tapped;
    return r;
}

static int tell_of_taps(struct logging *logging)
{
    int r = 0;
    LIST_FOREACH(pipe, &logging->handed, struct output_pipe, link)
        if (r == 0)
            r = tell_of_tap(logging, pipe);
    if (r == 0)
        logging->taps_changed = false;
    return r;
}

void logging_tell(struct logging *logging)
{
    static char *const reopen[] = {(char *)(uintptr_t) "TYPE=reopen", NULL};
    int r = logging->socket < 0 ? -EPIPE : 0;
    if (r == 0 && !logging->knows_log)
        r = tell_of_log(logging);
    if (r == 0)
        logging->knows_log = true;
    LIST_FOREACH_SAFE(pipe, &logging->waiting, struct output_pipe, link) {
        if (r == 0)
            r = tell_of(logging, pipe);
    }
    if (r == 0 && logging->taps_changed)
        r = tell_of_taps(logging);
    if (r == 0 && logging->reopen)
        r = message_send(logging->socket, reopen, -1);
    if (r == 0)
        logging->reopen = false;
    /* Also when this user has too many descriptors on their way, or memory is short: when it reads, there is room again. */
    if (logging->socket_source)
        (void)sd_event_source_set_io_events(logging->socket_source,
                                            EPOLLIN | (r < 0 ? EPOLLOUT : 0));
}

/* Its death */

static uint64_t take_lost(struct output_counters *counters)
{
    uint64_t settled = counters->written + counters->dropped + counters->lost;
    uint64_t read = counters->read;
    if (counters->position == OUTPUT_READING)
        counters->read = read += OUTPUT_READ_SIZE;
    uint64_t lost = read > settled ? read - settled : 0;
    counters->lost += lost;
    return lost;
}

/* It had dropped them, and had no time to say so. */
static uint64_t take_unsaid(struct output_counters *counters)
{
    uint64_t dropped = counters->dropped, said = counters->said;
    counters->said = dropped;
    return dropped > said ? dropped - said : 0;
}

void logging_mourn(struct logging *logging, const siginfo_t *info)
{
    char how[PROCESS_EXIT_TEXT_SIZE];
    uint64_t lost = 0;
    unsigned pipes = 0;
    LIST_FOREACH(pipe, &logging->handed, struct output_pipe, link) {
        uint64_t its = take_lost(&logging->counters[pipe->number]) +
                       take_unsaid(&logging->counters[pipe->number]);
        lost += its;
        pipes += its > 0;
    }
    log_warning("reloader-log, pid %d, died (%s): of %u of the workers' streams up to %" PRIu64
                " bytes that it had read are not written",
                (int)logging->pid, process_exit_to_text(info, how), pipes, lost);
}
