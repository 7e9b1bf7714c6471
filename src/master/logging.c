#include "master/logging.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/message.h"
#include "base/parse.h"
#include "base/strv.h"
#include "process/pidfd.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

/* One that lived for so long has not failed to start. */
#define SETTLED_USEC (5 * USEC_PER_SEC)
#define RETRIES_AT_ONCE 2
#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (5 * USEC_PER_SEC)
/* At the end: for what is in the pipes to be written. */
#define FINISH_USEC (5 * USEC_PER_SEC)

/* Numbers of pipes */

static int take_number(struct logging *logging, uint64_t *ret)
{
    if (logging->n_free > 0) {
        *ret = logging->free_numbers[--logging->n_free];
        return 0;
    }
    if (logging->n_used == OUTPUT_PIPES_MAX)
        return -ENOBUFS;
    *ret = logging->n_used++;
    return 0;
}

/* There are as many places as numbers. */
static void give_number(struct logging *logging, uint64_t number)
{
    if (logging->counters)
        memset(&logging->counters[number], 0, sizeof(logging->counters[number]));
    logging->free_numbers[logging->n_free++] = number;
}

static void forget_pipe(struct logging *logging, struct output_pipe *pipe)
{
    if (logging->counters)
        logging->ops->ended(pipe->generation->program->name, &logging->counters[pipe->number],
                            logging->userdata);
    give_number(logging, pipe->number);
    (void)output_pipe_free(pipe);
}

static struct output_pipe *find_pipe(struct logging *logging, const char *number)
{
    uint64_t wanted;
    if (!number || parse_unsigned(number, 0, OUTPUT_PIPES_MAX, &wanted) < 0)
        return NULL;
    LIST_FOREACH(pipe, &logging->handed, struct output_pipe, link) {
        if (pipe->number == wanted)
            return pipe;
    }
    return NULL;
}

/* What it says */

/* It bounds by itself how often it says something. */
static void pass_on(struct logging *logging, char **fields)
{
    const struct output_pipe *pipe = find_pipe(logging, strv_env_get(fields, "NUMBER"));
    const char *text = strv_env_get(fields, "TEXT");
    if (!text)
        return;
    log_about(pipe ? output_pipe_subject(pipe) : (struct log_subject){0}, LOG_LEVEL_WARNING,
              "%s", text);
}

static void pass_lines(struct logging *logging, char **fields)
{
    const struct output_pipe *pipe = find_pipe(logging, strv_env_get(fields, "NUMBER"));
    const char *text = strv_env_get(fields, "TEXT"), *number = strv_env_get(fields, "MISSED");
    uint64_t missed = 0;
    if (pipe && text && number && parse_unsigned(number, 0, UINT64_MAX, &missed) == 0)
        logging->ops->lines(pipe, text, missed, logging->userdata);
}

static void handle_message(struct logging *logging, char **fields)
{
    const char *type = strv_env_get(fields, "TYPE");
    if (string_equal(type, "ended")) {
        struct output_pipe *pipe = find_pipe(logging, strv_env_get(fields, "NUMBER"));
        if (pipe)
            forget_pipe(logging, pipe);
    } else if (string_equal(type, "say")) {
        pass_on(logging, fields);
    } else if (string_equal(type, "pong")) {
        logging_answered(logging);
    } else if (string_equal(type, "lines")) {
        pass_lines(logging, fields);
    } else if (string_equal(type, "full")) {
        log_rotate();
    }
}

/* False: there is no more for now. */
static bool read_message(struct logging *logging)
{
    CLEANUP_STRV char **fields = NULL;
    CLEANUP_FD int passed = -1;
    int r = message_receive(logging->socket, &fields, &passed);
    if (r == 1)
        handle_message(logging, fields);
    return r == 1 || r == -EBADMSG;
}

void logging_hear(struct logging *logging)
{
    while (read_message(logging))
        ;
}

#define MESSAGES_AT_ONCE 64

static int on_socket(sd_event_source *source, int fd UNUSED, uint32_t revents, void *userdata)
{
    struct logging *logging = userdata;
    for (unsigned i = 0; i < MESSAGES_AT_ONCE && read_message(logging); i++)
        ;
    /* The other end is closed: it is dying, and its pidfd will say so. */
    if (revents & EPOLLHUP)
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    logging_tell(logging);
    return 0;
}

/* Life and death */

static void start(struct logging *logging);

static int on_exit_of_it(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                         void *userdata)
{
    struct logging *logging = userdata;
    siginfo_t info;
    if (process_peek_exit(logging->pid, &info) <= 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    logging_hear(logging);
    logging_mourn(logging, &info);
    logging->deaths++;
    reaper_exited(logging->reaper, &logging->reaping);
    return 0;
}

static void drop_process(struct logging *logging)
{
    logging_watch_end(logging);
    logging->exit_source = sd_event_source_disable_unref(logging->exit_source);
    logging->socket_source = sd_event_source_disable_unref(logging->socket_source);
    logging->pidfd = fd_close(logging->pidfd);
    logging->socket = fd_close(logging->socket);
    logging->pid = 0;
    logging->knows_log = false;
    /* The next one is told of all pipes; those that this one knew are the older ones. */
    while (!list_is_empty(&logging->waiting)) {
        struct list *link = logging->waiting.next;
        list_remove(link);
        list_append(&logging->handed, link);
    }
    while (!list_is_empty(&logging->handed)) {
        struct list *link = logging->handed.next;
        list_remove(link);
        list_append(&logging->waiting, link);
    }
}

static void arm_retry(struct logging *logging)
{
    unsigned doublings = MIN(logging->failures, 10U);
    uint64_t wait = MIN(RETRY_MIN_USEC << doublings, RETRY_MAX_USEC);
    (void)sd_event_source_set_time(logging->retry_timer, clock_monotonic_usec() + wait);
    (void)sd_event_source_set_enabled(logging->retry_timer, SD_EVENT_ONESHOT);
}

static void on_reaped(void *userdata)
{
    struct logging *logging = userdata;
    if (clock_monotonic_usec() - logging->started_usec >= SETTLED_USEC)
        logging->failures = 0;
    drop_process(logging);
    if (list_is_empty(&logging->waiting))
        return;
    if (logging->failures <= RETRIES_AT_ONCE)
        start(logging);
    else
        arm_retry(logging);
}

static int watch_it(struct logging *logging)
{
    int r = sd_event_add_io(logging->event, &logging->exit_source, logging->pidfd, EPOLLIN,
                            on_exit_of_it, logging);
    if (r >= 0)
        r = sd_event_add_io(logging->event, &logging->socket_source, logging->socket, EPOLLIN,
                            on_socket, logging);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(logging->exit_source, "logging-exit");
    (void)sd_event_source_set_description(logging->socket_source, "logging-socket");
    return 0;
}

static int start_and_watch(struct logging *logging)
{
    int r = logging_start(logging);
    if (r < 0)
        return r;
    logging->reaping = (struct reaper_entry){
        .leader = logging->pid, .empty = on_reaped, .userdata = logging};
    list_init(&logging->reaping.link);
    reaper_add(logging->reaper, &logging->reaping);
    r = watch_it(logging);
    if (r < 0) {
        (void)process_signal(logging->pidfd, SIGKILL);
        reaper_disown(logging->reaper, &logging->reaping);
        drop_process(logging);
        return r;
    }
    logging_watch_begin(logging);
    return 0;
}

static void start(struct logging *logging)
{
    int r = start_and_watch(logging);
    logging->failures++;
    if (r == 0) {
        log_debug("reloader-log up, pid %d", (int)logging->pid);
        logging_tell(logging);
        return;
    }
    if (logging->failures == 1)
        log_error("cannot start %s, which writes workers' output: %s; it is tried again, and "
                  "meanwhile workers that print much have to wait",
                  logging->executable ? logging->executable : "reloader-log", strerror(-r));
    arm_retry(logging);
}

static int on_retry(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct logging *logging = userdata;
    if (logging->pid == 0)
        start(logging);
    return 0;
}

static bool waits_for_retry(const struct logging *logging)
{
    int enabled = SD_EVENT_OFF;
    (void)sd_event_source_get_enabled(logging->retry_timer, &enabled);
    return enabled != SD_EVENT_OFF;
}

static void take_pipe(struct output_pipe *pipe, void *userdata)
{
    struct logging *logging = userdata;
    if (take_number(logging, &pipe->number) < 0) {
        log_about(output_pipe_subject(pipe), LOG_LEVEL_ERROR,
                  "its %s is not written: reloader-log has %d pipes, and cannot have more",
                  output_stream_name(pipe->stream), OUTPUT_PIPES_MAX);
        (void)output_pipe_free(pipe);
        return;
    }
    list_append(&logging->waiting, &pipe->link);
    if (logging->pid > 0)
        logging_tell(logging);
    else if (!waits_for_retry(logging))
        start(logging);
}

void logging_reopen(struct logging *logging)
{
    if (logging->pid == 0)
        return;
    logging->reopen = true;
    logging_log_changed(logging);
}

void logging_taps_changed(struct logging *logging)
{
    logging->taps_changed = true;
    if (logging->pid != 0)
        logging_tell(logging);
}

void logging_log_changed(struct logging *logging)
{
    logging->knows_log = false;
    if (logging->pid != 0)
        logging_tell(logging);
}

static void add_list(const struct logging *logging, const struct list *pipes, const char *program,
                     struct output_totals *totals)
{
    LIST_FOREACH (pipe, pipes, struct output_pipe, link)
        if (strcmp(pipe->generation->program->name, program) == 0)
            output_totals_add(totals, &logging->counters[pipe->number]);
}

void logging_add_totals(const struct logging *logging, const char *program,
                        struct output_totals *totals)
{
    if (!logging->counters)
        return;
    add_list(logging, &logging->waiting, program, totals);
    add_list(logging, &logging->handed, program, totals);
}

const struct output_sink *logging_sink(const struct logging *logging)
{
    return logging ? &logging->sink : NULL;
}

/* Where it is */

static char *find_at(const char *directory, const char *name)
{
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    return path && access(path, X_OK) == 0 ? TAKE_PTR(path) : NULL;
}

/* Beside our own executable, as in a build directory, or where it is installed, seen from there. */
static char *find_executable(void)
{
    char own[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (n <= 0)
        return NULL;
    own[n] = '\0';
    char *slash = strrchr(own, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    char *found = find_at(own, "reloader-log");
    return found ? found : find_at(own, RELOADER_HELPERS "/reloader-log");
}

int logging_new(sd_event *event, struct reaper *reaper, const struct logging_ops *ops,
                void *userdata, struct logging **ret)
{
    CLEANUP(logging_freep) struct logging *logging = calloc(1, sizeof(*logging));
    if (!logging)
        return -ENOMEM;
    *logging = (struct logging){
        .ops = ops,
        .userdata = userdata,
        .event = event,
        .reaper = reaper,
        .executable = find_executable(),
        .free_numbers = reallocarray(NULL, OUTPUT_PIPES_MAX, sizeof(uint64_t)),
        .counters_fd = -1,
        .pidfd = -1,
        .socket = -1,
    };
    logging->sink = (struct output_sink){.take = take_pipe, .userdata = logging};
    list_init(&logging->waiting);
    list_init(&logging->handed);
    if (!logging->free_numbers)
        return -ENOMEM;
    int r = sd_event_add_time(event, &logging->retry_timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                              on_retry, logging);
    if (r >= 0)
        r = sd_event_source_set_enabled(logging->retry_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = logging_watch_prepare(logging);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(logging->retry_timer, "logging-retry");
    *ret = TAKE_PTR(logging);
    return 0;
}

/* The end */

static int left_msec(uint64_t deadline)
{
    uint64_t now = clock_monotonic_usec();
    return deadline > now ? (int)((deadline - now) / USEC_PER_MSEC) + 1 : 0;
}

/* All that it has to know, and then that there is no more to come. */
static void tell_the_end(struct logging *logging, uint64_t deadline)
{
    static char *const finish[] = {(char *)(uintptr_t) "TYPE=finish", NULL};
    struct pollfd poll_fd = {.fd = logging->socket, .events = POLLOUT | POLLIN};
    int r = -EAGAIN;
    while (r < 0 && left_msec(deadline) > 0) {
        logging_hear(logging);
        logging_tell(logging);
        if (list_is_empty(&logging->waiting))
            r = message_send(logging->socket, finish, -1);
        if (r < 0 && poll(&poll_fd, 1, MIN(left_msec(deadline), 50)) > 0 &&
            (poll_fd.revents & POLLHUP))
            return;
    }
}

static void await_its_end(struct logging *logging, uint64_t deadline)
{
    struct pollfd poll_fds[] = {{.fd = logging->pidfd, .events = POLLIN},
                                {.fd = logging->socket, .events = POLLIN}};
    siginfo_t info;
    tell_the_end(logging, deadline);
    do {
        (void)poll(poll_fds, ARRAY_SIZE(poll_fds), left_msec(deadline));
        logging_hear(logging);
        if (poll_fds[1].revents & POLLHUP)
            poll_fds[1].fd = -1;
    } while (process_peek_exit(logging->pid, &info) == 0 && left_msec(deadline) > 0);
    if (process_peek_exit(logging->pid, &info) == 1 && info.si_code == CLD_EXITED &&
        info.si_status == 0)
        return;
    (void)process_signal(logging->pidfd, SIGKILL);
    (void)poll(poll_fds, 1, 1000);
    if (process_peek_exit(logging->pid, &info) == 1)
        logging_mourn(logging, &info);
}

static void end_process(struct logging *logging)
{
    if (logging->pid == 0 && !list_is_empty(&logging->waiting) && start_and_watch(logging) < 0)
        log_error("cannot start reloader-log: what workers have printed last is lost");
    if (logging->pid == 0)
        return;
    await_its_end(logging, clock_monotonic_usec() + FINISH_USEC);
    logging->reaping.exited = true;
    reaper_remove(logging->reaper, &logging->reaping);
    drop_process(logging);
}

struct logging *logging_free(struct logging *logging)
{
    if (!logging)
        return NULL;
    if (logging->reaper && logging->look_timer)
        end_process(logging);
    while (!list_is_empty(&logging->waiting))
        (void)output_pipe_free(
            LIST_ENTRY(logging->waiting.next, struct output_pipe, link));
    (void)sd_event_source_disable_unref(logging->retry_timer);
    (void)sd_event_source_disable_unref(logging->look_timer);
    if (logging->counters)
        (void)munmap(logging->counters, OUTPUT_PIPES_MAX * sizeof(struct output_counters));
    (void)fd_close(logging->counters_fd);
    free(logging->free_numbers);
    free(logging->executable);
    free(logging);
    return NULL;
}
