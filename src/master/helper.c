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
/* More than a socket holds. */
#define MESSAGES_MAX 4096
/* It has to be silent at so many looks in a row. */
#define SILENT_MAX 2
#define LOOK_USEC  (5 * USEC_PER_SEC)
/* At the end: one that dies is replaced so often, at most. */
#define FINISH_TRIES 3

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

static void try_again_later(struct helper *helper)
{
    (void)sd_event_source_set_time(helper->retry_timer, clock_monotonic_usec() + RETRY_MIN_USEC);
    (void)sd_event_source_set_enabled(helper->retry_timer, SD_EVENT_ONESHOT);
}

int helper_send(struct helper *helper, char *const *fields, int pass)
{
    int r = helper->socket < 0 ? -EPIPE : message_send(helper->socket, fields, pass);
    if (r == -EAGAIN && helper->socket_source)
        (void)sd_event_source_set_io_events(helper->socket_source, EPOLLIN | EPOLLOUT);
    /* Memory is short, or this user has too many descriptors on their way: of that the socket does not tell when it is over. */
    else if (r < 0 && r != -EPIPE && r != -ECONNRESET && r != -EMSGSIZE)
        try_again_later(helper);
    return r;
}

static void expect_no_answer(struct helper *helper)
{
    helper->asked = false;
    helper->silent = 0;
}

static void handle_message(struct helper *helper, char **fields)
{
    if (!string_equal(strv_env_get(fields, "TYPE"), "pong")) {
        helper->ops->message(fields, helper->userdata);
        return;
    }
    expect_no_answer(helper);
    helper->ops->room(helper->userdata);
}

/* False: there is no more for now. */
static bool read_message(struct helper *helper)
{
    CLEANUP_STRV char **fields = NULL;
    CLEANUP_FD int passed = -1;
    int r = message_receive(helper->socket, &fields, &passed);
    if (r == 1)
        handle_message(helper, fields);
    return r == 1 || r == -EBADMSG;
}

/* True: there may be more. */
static bool read_messages(struct helper *helper, unsigned most)
{
    unsigned n = 0;
    while (n < most && read_message(helper))
        n++;
    return n == most;
}

static int on_socket(sd_event_source *source, int fd UNUSED, uint32_t revents, void *userdata)
{
    struct helper *helper = userdata;
    bool more = read_messages(helper, MESSAGES_AT_ONCE);
    /* The other end is closed: it is dying, and its pidfd will say so. */
    if (revents & EPOLLHUP)
        return more ? 0 : sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (revents & EPOLLOUT) {
        (void)sd_event_source_set_io_events(source, EPOLLIN);
        helper->ops->room(helper->userdata);
    }
    return 0;
}

/* Is it there? */

static void look_later(struct helper *helper)
{
    (void)sd_event_source_set_time(helper->look_timer, clock_monotonic_usec() + LOOK_USEC);
    (void)sd_event_source_set_enabled(helper->look_timer, SD_EVENT_ONESHOT);
}

static void kill_silent(struct helper *helper)
{
    log_warning("%s, pid %d, does not answer for %u s (is it stopped?): it is killed, and another "
                "one takes over",
                helper->ops->name, (int)helper->pid,
                (unsigned)(SILENT_MAX * LOOK_USEC / USEC_PER_SEC));
    (void)process_signal(helper->pidfd, SIGKILL);
}

/* Time alone does not condemn it: we may have been stopped ourselves, or the machine been busy. */
static int on_look(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    static char *const ping[] = {(char *)(uintptr_t) "TYPE=ping", NULL};
    struct helper *helper = userdata;
    if (helper->pid == 0)
        return 0;
    (void)read_messages(helper, MESSAGES_MAX);
    if (helper->asked && ++helper->silent == SILENT_MAX) {
        kill_silent(helper);
        return 0;
    }
    /* Where there is no room it has not read what it was told before, and that is silence too. */
    (void)message_send(helper->socket, ping, -1);
    helper->asked = true;
    look_later(helper);
    return 0;
}

/* Life and death */

static int spawn_it(struct helper *helper, int its_socket)
{
    char *const argv[] = {(char *)(uintptr_t)helper->ops->name, NULL};
    int fds[] = {its_socket, -1};
    if (helper->ops->prepare)
        fds[1] = helper->ops->prepare(helper->userdata);
    if (helper->ops->prepare && fds[1] < 0)
        return fds[1];
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
        .fds = fds,
        .n_fds = helper->ops->prepare ? 2 : 1,
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
    (void)sd_event_source_set_enabled(helper->look_timer, SD_EVENT_OFF);
    helper->exit_source = sd_event_source_disable_unref(helper->exit_source);
    helper->socket_source = sd_event_source_disable_unref(helper->socket_source);
    helper->pidfd = fd_close(helper->pidfd);
    helper->socket = fd_close(helper->socket);
    helper->pid = 0;
}

/* It has died. */
static void mourn(struct helper *helper, const siginfo_t *info)
{
    char how[PROCESS_EXIT_TEXT_SIZE];
    (void)read_messages(helper, MESSAGES_MAX);
    CLEANUP_FREE char *lost = helper->ops->lost ? helper->ops->lost(helper->userdata) : NULL;
    log_warning("%s, pid %d, died (%s)%s%s", helper->ops->name, (int)helper->pid,
                process_exit_to_text(info, how), lost ? ": " : "", lost ? lost : "");
    helper->deaths++;
}

static int on_exit_of_it(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                         void *userdata)
{
    struct helper *helper = userdata;
    siginfo_t info;
    if (process_peek_exit(helper->pid, &info) <= 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    mourn(helper, &info);
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

static int start_process(struct helper *helper)
{
    int r = make_process(helper);
    if (r < 0)
        return r;
    helper->started_usec = clock_monotonic_usec();
    helper->reaping = (struct reaper_entry){
        .leader = helper->pid, .empty = on_reaped, .userdata = helper};
    list_init(&helper->reaping.link);
    reaper_add(helper->reaper, &helper->reaping);
    return 0;
}

static int start_and_watch(struct helper *helper)
{
    int r = start_process(helper);
    if (r < 0)
        return r;
    r = watch_it(helper);
    if (r < 0) {
        (void)process_signal(helper->pidfd, SIGKILL);
        reaper_disown(helper->reaper, &helper->reaping);
        drop_process(helper);
        return r;
    }
    expect_no_answer(helper);
    look_later(helper);
    return 0;
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
        log_error("cannot start %s, which %s: %s; it is tried again%s%s",
                  helper->executable ? helper->executable : helper->ops->name, helper->ops->task,
                  strerror(-r), helper->ops->without ? ", and meanwhile " : "",
                  helper->ops->without ? helper->ops->without : "");
    arm_retry(helper);
}

static int on_retry(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct helper *helper = userdata;
    helper->waits = false;
    if (helper->pid == 0)
        start(helper);
    else
        helper->ops->room(helper->userdata);
    return 0;
}

void helper_want(struct helper *helper)
{
    if (helper->pid == 0 && !helper->waits)
        start(helper);
}

static int add_timer(struct helper *helper, sd_event_source **ret, uint64_t accuracy_usec,
                     sd_event_time_handler_t handler, const char *description)
{
    int r = sd_event_add_time(helper->event, ret, CLOCK_MONOTONIC, 0, accuracy_usec, handler,
                              helper);
    if (r >= 0)
        r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
    return r < 0 ? r : sd_event_source_set_description(*ret, description);
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
    int r = add_timer(helper, &helper->retry_timer, USEC_PER_MSEC, on_retry, "helper-retry");
    if (r >= 0)
        r = add_timer(helper, &helper->look_timer, USEC_PER_SEC, on_look, "helper-look");
    if (r < 0)
        return r;
    *ret = TAKE_PTR(helper);
    return 0;
}

/* The end */

static int left_msec(uint64_t deadline)
{
    uint64_t now = clock_monotonic_usec();
    return deadline > now ? (int)((deadline - now) / USEC_PER_MSEC) + 1 : 0;
}

static void say_farewell(struct helper *helper, int (*farewell)(void *userdata), uint64_t deadline)
{
    struct pollfd poll_fd = {.fd = helper->socket};
    int r;
    while ((r = farewell(helper->userdata)) < 0 && left_msec(deadline) > 0) {
        poll_fd.events = r == -EAGAIN ? POLLIN | POLLOUT : POLLIN;
        if (poll(&poll_fd, 1, MIN(left_msec(deadline), 50)) > 0 && (poll_fd.revents & POLLHUP))
            return;
        (void)read_messages(helper, MESSAGES_AT_ONCE);
    }
}

static bool has_exited(const struct helper *helper, siginfo_t *ret_info)
{
    return process_peek_exit(helper->pid, ret_info) == 1;
}

/* False: it runs on. */
static bool await_exit(struct helper *helper, uint64_t deadline, siginfo_t *ret_info)
{
    struct pollfd poll_fds[] = {{.fd = helper->pidfd, .events = POLLIN},
                                {.fd = helper->socket, .events = POLLIN}};
    while (!has_exited(helper, ret_info)) {
        if (left_msec(deadline) == 0)
            return false;
        (void)poll(poll_fds, ARRAY_SIZE(poll_fds), left_msec(deadline));
        (void)read_messages(helper, MESSAGES_AT_ONCE);
        if (poll_fds[1].revents & POLLHUP)
            poll_fds[1].fd = -1;
    }
    (void)read_messages(helper, MESSAGES_MAX);
    return true;
}

/* SIGKILL ends it within moments. */
static void end_process(struct helper *helper)
{
    struct pollfd poll_fd = {.fd = helper->pidfd, .events = POLLIN};
    (void)process_signal(helper->pidfd, SIGKILL);
    (void)poll(&poll_fd, 1, 1000);
}

static void bury(struct helper *helper)
{
    helper->reaping.exited = true;
    reaper_remove(helper->reaper, &helper->reaping);
    drop_process(helper);
}

/* True: it died before its time. */
static bool finish_one(struct helper *helper, int (*farewell)(void *userdata), uint64_t deadline)
{
    siginfo_t info;
    bool mourned = helper->reaping.exited;
    if (!mourned)
        say_farewell(helper, farewell, deadline);
    bool exited = await_exit(helper, deadline, &info), left = exited && info.si_code == CLD_EXITED;
    if (!exited)
        end_process(helper);
    if (!mourned && !(left && info.si_status == 0) && has_exited(helper, &info))
        mourn(helper, &info);
    bury(helper);
    return exited && !left;
}

int helper_finish(struct helper *helper, int (*farewell)(void *userdata), uint64_t patience_usec)
{
    uint64_t deadline = clock_monotonic_usec() + patience_usec;
    for (unsigned i = 0; i < FINISH_TRIES; i++) {
        /* A loop that has come to its end watches nobody any more. */
        int r = helper->pid == 0 ? start_process(helper) : 0;
        if (r < 0)
            return r;
        if (!finish_one(helper, farewell, deadline) || !helper->ops->gone(helper->userdata))
            break;
    }
    return 0;
}

struct helper *helper_free(struct helper *helper)
{
    if (!helper)
        return NULL;
    if (helper->pid > 0) {
        end_process(helper);
        bury(helper);
    }
    (void)sd_event_source_disable_unref(helper->retry_timer);
    (void)sd_event_source_disable_unref(helper->look_timer);
    free(helper->executable);
    free(helper);
    return NULL;
}
