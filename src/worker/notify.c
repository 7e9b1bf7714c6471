#include "worker/notify.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "process/group.h"
#include "worker/throttle.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTIFY_BUDGET        128 /* datagrams in a window of 100 ms */
#define NOTIFY_READS_AT_ONCE 16

struct notify {
    const char *worker;
    const struct notify_ops *ops;
    void *userdata;
    char *path;
    int fd;
    pid_t leader;
    sd_event_source *io;
    struct throttle throttle;
    struct log_limit complaints;
};

static void parse_watchdog(const char *line, struct notify_message *ret)
{
    uint64_t number;
    if (strcmp(line, "WATCHDOG=1") == 0) {
        ret->alive = true;
    } else if (strcmp(line, "WATCHDOG=trigger") == 0) {
        ret->trigger = true;
    } else if (string_starts_with(line, "WATCHDOG_USEC=") &&
               parse_unsigned(line + strlen("WATCHDOG_USEC="), 0, UINT64_MAX, &number) == 0) {
        ret->sets_watchdog = true;
        ret->watchdog_usec = number;
    }
}

void notify_parse(char *datagram, struct notify_message *ret)
{
    *ret = (struct notify_message){0};
    for (char *next, *line = datagram; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        uint64_t number;
        if (strcmp(line, "READY=1") == 0)
            ret->ready = true;
        else if (strcmp(line, "STOPPING=1") == 0)
            ret->stopping = true;
        else if (string_starts_with(line, "MAINPID=") &&
                 parse_unsigned(line + strlen("MAINPID="), 1, INT32_MAX, &number) == 0)
            ret->main_pid = (pid_t)number;
        else if (string_starts_with(line, "STATUS="))
            ret->status = line + strlen("STATUS=");
        else if (string_starts_with(line, "EXTEND_TIMEOUT_USEC=") &&
                 parse_unsigned(line + strlen("EXTEND_TIMEOUT_USEC="), 1, UINT64_MAX, &number) == 0)
            ret->extend_timeout_usec = number;
        else
            parse_watchdog(line, ret);
    }
}

static void complain(struct notify *notify, const char *what, pid_t pid)
{
    unsigned suppressed;
    if (log_limit_pass(&notify->complaints, &suppressed))
        log_about((struct log_subject){.worker = notify->worker}, LOG_LEVEL_WARNING,
                  "notify socket: %s (sender: pid %d; %u such lines left out)", what, (int)pid,
                  suppressed);
}

static const struct ucred *find_credentials(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
            c->cmsg_len == CMSG_LEN(sizeof(struct ucred)))
            return (const struct ucred *)(const void *)CMSG_DATA(c);
    return NULL;
}

static bool is_from_worker(const struct notify *notify, const struct ucred *credentials)
{
    if (!credentials || notify->leader <= 0)
        return false;
    return credentials->pid == notify->leader || group_has_member(notify->leader, credentials->pid);
}

/* 1: a datagram was dealt with, whatever it was; 0: none there. */
static int receive_one(struct notify *notify)
{
    char data[NOTIFY_DATAGRAM_MAX + 1];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 253)];
    } control;
    struct iovec vector = {.iov_base = data, .iov_len = NOTIFY_DATAGRAM_MAX};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(notify->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return 0;
    const struct ucred *credentials = find_credentials(&message);
    pid_t pid = credentials ? credentials->pid : 0;
    bool believed = is_from_worker(notify, credentials);
    (void)fd_close_received(&message);
    if (!believed) {
        complain(notify, "ignored a datagram of a process that is not the worker's", pid);
    } else if (message.msg_flags & MSG_TRUNC) {
        complain(notify, "ignored a datagram of more than 4 KiB", pid);
    } else {
        struct notify_message parsed;
        data[n] = '\0';
        notify_parse(data, &parsed);
        notify->ops->received(&parsed, notify->userdata);
    }
    return 1;
}

static int on_io(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED, void *userdata)
{
    struct notify *notify = userdata;
    for (unsigned i = 0; i < NOTIFY_READS_AT_ONCE; i++) {
        if (!receive_one(notify))
            return 0;
        if (!throttle_spend(&notify->throttle, 1))
            return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    /* There may be more: setting the events makes an edge-triggered source look again, after the others had their turn. */
    return sd_event_source_set_io_events(source, EPOLLIN | EPOLLET);
}

static int on_resume(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct notify *notify = userdata;
    return sd_event_source_set_enabled(notify->io, SD_EVENT_ON);
}

static int bind_path(struct notify *notify, const char *directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    if (!path)
        return -ENOMEM;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    if (bind(notify->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    notify->path = TAKE_PTR(path);
    /* Workers may be of other users. Writing is for all, whatever the umask: credentials tell who is believed. */
    return chmod(notify->path, 0666) < 0 ? -errno : 0;
}

/* By the kernel's choice: a name of ours could be taken, as all masters that are PID 1 have the same pid. */
static int bind_abstract(struct notify *notify)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t begin = offsetof(struct sockaddr_un, sun_path);
    socklen_t size = sizeof(address);
    if (bind(notify->fd, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
        getsockname(notify->fd, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    notify->path = string_format("@%.*s", (int)(size - begin - 1), address.sun_path + 1);
    return notify->path ? 0 : -ENOMEM;
}

static int bind_socket(struct notify *notify, const char *directory, const char *name)
{
    const int on = 1;
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd < 0 || setsockopt(notify->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return -errno;
    return directory ? bind_path(notify, directory, name) : bind_abstract(notify);
}

int notify_new(sd_event *event, const char *directory, const char *name, const char *worker,
               const struct notify_ops *ops, void *userdata, struct notify **ret)
{
    CLEANUP(notify_freep) struct notify *notify = calloc(1, sizeof(*notify));
    if (!notify)
        return -ENOMEM;
    *notify = (struct notify){
        .worker = worker,
        .ops = ops,
        .userdata = userdata,
        .fd = -1,
        .complaints = {.interval_usec = 10 * USEC_PER_SEC, .burst = 3},
    };
    int r = bind_socket(notify, directory, name);
    if (r < 0)
        return r;
    r = throttle_init(&notify->throttle, event, NOTIFY_BUDGET, on_resume, notify);
    if (r < 0)
        return r;
    r = sd_event_add_io(event, &notify->io, notify->fd, EPOLLIN | EPOLLET, on_io, notify);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(notify->io, "worker-notify");
    *ret = TAKE_PTR(notify);
    return 0;
}

struct notify *notify_free(struct notify *notify)
{
    if (!notify)
        return NULL;
    (void)sd_event_source_disable_unref(notify->io);
    throttle_clear(&notify->throttle);
    if (notify->path && notify->path[0] == '/')
        (void)unlink(notify->path);
    (void)fd_close(notify->fd);
    free(notify->path);
    free(notify);
    return NULL;
}

const char *notify_path(const struct notify *notify)
{
    return notify->path;
}

void notify_set_leader(struct notify *notify, pid_t leader)
{
    notify->leader = leader;
}

void notify_read_rest(struct notify *notify)
{
    for (unsigned i = 0; i < NOTIFY_READS_AT_ONCE && receive_one(notify); i++)
        (void)throttle_spend(&notify->throttle, 1);
}
