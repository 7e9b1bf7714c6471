#include "master/helper.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/message.h"
#include "base/strv.h"
#include "process/pidfd.h"
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* One that lived for so long has not failed to start. */
#define SETTLED_USEC     (5 * USEC_PER_SEC)
#define RETRIES_AT_ONCE  2
#define RETRY_MIN_USEC   (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC   (5 * USEC_PER_SEC)
#define MESSAGES_AT_ONCE 64

/* Where it is */

static char *find_at(const char *directory, const char *name)
{
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    return path && access(path, X_OK) == 0 ? TAKE_PTR(path) : NULL;
}

char *helper_find(const char *name)
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
    CLEANUP_FREE char *installed = string_format("%s/" RELOADER_HELPERS, own);
    char *found = find_at(own, name);
    return found || !installed ? found : find_at(installed, name);
}

/* Talking */

int helper_send(struct helper *helper, char *const *fields)
{
    int r = helper->socket < 0 ? -EPIPE : message_send(helper->socket, fields, -1);
    if (r == -EAGAIN && helper->socket_source)
        (void)sd_event_source_set_io_events(helper->socket_source, EPOLLIN | EPOLLOUT);
    return r;
}

/* False: there is no more for now. */
static bool read_message(struct helper *helper)
{
    CLEANUP_STRV char **fields = NULL;
    CLEANUP_FD int passed = -1;
    int r = message_receive(helper->socket, &fields, &passed);
    if (r == 1)
        helper->ops->message(fields, helper->userdata);
    return r == 1 || r == -EBADMSG;
}

static int on_socket(sd_event_source *source, int fd UNUSED, uint32_t revents, void *userdata)
{
    struct helper *helper = userdata;
    for (unsigned i = 0; i < MESSAGES_AT_ONCE && read_message(helper); i++)
        ;
    /* The other end is closed: it is dying, and its pidfd will say so. */
    if (revents & EPOLLHUP)
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (revents & EPOLLOUT) {
        (void)sd_event_source_set_io_events(source, EPOLLIN);
        helper->ops->room(helper->userdata);
    }
    return 0;
}

/* Life and death */

static int spawn_it(struct helper *helper, int its_socket)
{
    char *const argv[] = {(char *)(uintptr_t)helper->ops->name, NULL};
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return -errno;
    const struct spawn_params params = {
        .argv = argv,
        .envp = environ,
        .executable = helper->executable,
        .stdin_fd = null_fd,
        .stdout_fd = null_fd,
        .stderr_fd = -1,
        .fds = &its_socket,
        .n_fds = 1,
    };
    struct spawn_failure failure;
    return spawn(&params, &helper->pid, &helper->pidfd, &failure);
}

static int make_process(struct helper *helper)
{
    int pair[2];
    if (!helper->executable)
        return -ENOENT;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    int r = spawn_it(helper, pair[1]);
    (void)fd_close(pair[1]);
    if (r < 0)
        (void)fd_close(pair[0]);
    else
        helper->socket = pair[0];
    return r;
}

static void drop_process(struct helper *helper)
{
    helper->exit_source = sd_event_source_disable_unref(helper->exit_source);
    helper->socket_source = sd_event_source_disable_unref(helper->socket_source);
    helper->pidfd = fd_close(helper->pidfd);
    helper->socket = fd_close(helper->socket);
    helper->pid = 0;
}

static int on_exit_of_it(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                         void *userdata)
{
    struct helper *helper = userdata;
    char text[PROCESS_EXIT_TEXT_SIZE];
    siginfo_t info;
    if (process_peek_exit(helper->pid, &info) <= 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    while (read_message(helper))
        ;
    log_warning("%s, pid %d, died (%s); it is started again when it is needed", helper->ops->name,
                (int)helper->pid, process_exit_to_text(&info, text));
    helper->deaths++;
    reaper_exited(helper->reaper, &helper->reaping);
    return 0;
}

static void start(struct helper *helper);

static void arm_retry(struct helper *helper)
{
    unsigned doublings = MIN(helper->failures, 10U);
    uint64_t wait = MIN(RETRY_MIN_USEC << doublings, RETRY_MAX_USEC);
    helper->waits = true;
    (void)sd_event_source_set_time(helper->retry_timer, clock_monotonic_usec() + wait);
    (void)sd_event_source_set_enabled(helper->retry_timer, SD_EVENT_ONESHOT);
}

static void on_reaped(void *userdata)
{
    struct helper *helper = userdata;
    if (clock_monotonic_usec() - helper->started_usec >= SETTLED_USEC)
        helper->failures = 0;
    drop_process(helper);
    if (!helper->ops->gone(helper->userdata))
        return;
    if (helper->failures <= RETRIES_AT_ONCE)
        start(helper);
    else
        arm_retry(helper);
}

static int watch_it(struct helper *helper)
{
    int r = sd_event_add_io(helper->event, &helper->exit_source, helper->pidfd, EPOLLIN,
                            on_exit_of_it, helper);
    if (r >= 0)
        r = sd_event_add_io(helper->event, &helper->socket_source, helper->socket, EPOLLIN,
                            on_socket, helper);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(helper->exit_source, "helper-exit");
    (void)sd_event_source_set_description(helper->socket_source, "helper-socket");
    return 0;
}

static int start_and_watch(struct helper *helper)
{
    int r = make_process(helper);
    if (r < 0)
        return r;
    helper->started_usec = clock_monotonic_usec();
    helper->reaping = (struct reaper_entry){
        .leader = helper->pid, .empty = on_reaped, .userdata = helper};
    list_init(&helper->reaping.link);
    reaper_add(helper->reaper, &helper->reaping);
    r = watch_it(helper);
    if (r < 0) {
        (void)process_signal(helper->pidfd, SIGKILL);
        reaper_disown(helper->reaper, &helper->reaping);
        drop_process(helper);
    }
    return r;
}

static void start(struct helper *helper)
{
    int r = start_and_watch(helper);
    helper->failures++;
    if (r == 0) {
        log_debug("%s up, pid %d", helper->ops->name, (int)helper->pid);
        helper->ops->started(helper->userdata);
        return;
    }
    if (helper->failures == 1)
        log_error("cannot start %s, which %s: %s; it is tried again",
                  helper->executable ? helper->executable : helper->ops->name, helper->ops->task,
                  strerror(-r));
    arm_retry(helper);
}

static int on_retry(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct helper *helper = userdata;
    helper->waits = false;
    if (helper->pid == 0)
        start(helper);
    return 0;
}

void helper_want(struct helper *helper)
{
    if (helper->pid == 0 && !helper->waits)
        start(helper);
}

int helper_new(sd_event *event, struct reaper *reaper, const struct helper_ops *ops, void *userdata,
               struct helper **ret)
{
    CLEANUP(helper_freep) struct helper *helper = calloc(1, sizeof(*helper));
    if (!helper)
        return -ENOMEM;
    *helper = (struct helper){
        .ops = ops,
        .userdata = userdata,
        .event = event,
        .reaper = reaper,
        .executable = helper_find(ops->name),
        .pidfd = -1,
        .socket = -1,
    };
    int r = sd_event_add_time(event, &helper->retry_timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                              on_retry, helper);
    if (r >= 0)
        r = sd_event_source_set_enabled(helper->retry_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(helper->retry_timer, "helper-retry");
    *ret = TAKE_PTR(helper);
    return 0;
}

/* SIGKILL ends it within moments. */
static void end_process(struct helper *helper)
{
    struct pollfd poll_fd = {.fd = helper->pidfd, .events = POLLIN};
    (void)process_signal(helper->pidfd, SIGKILL);
    (void)poll(&poll_fd, 1, 1000);
    helper->reaping.exited = true;
    reaper_remove(helper->reaper, &helper->reaping);
    drop_process(helper);
}

struct helper *helper_free(struct helper *helper)
{
    if (!helper)
        return NULL;
    if (helper->pid > 0)
        end_process(helper);
    (void)sd_event_source_disable_unref(helper->retry_timer);
    free(helper->executable);
    free(helper);
    return NULL;
}
