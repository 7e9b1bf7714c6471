#include "logger/datagrams.h"

#include "base/fd.h"
#include "base/journal.h"
#include "base/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_SOCKET   "/dev/log"
#define SYSLOG_PRIORITY (3 * 8 + 6) /* daemon, info */
#define HEAD_SIZE       2048

static int open_socket(struct datagrams *datagrams)
{
    if (datagrams->fd >= 0)
        return 0;
    int fd = journal_open();
    if (fd < 0)
        return fd;
    datagrams->fd = fd;
    return 0;
}

void datagrams_clear(struct datagrams *datagrams)
{
    datagrams->fd = fd_close(datagrams->fd);
}

/* A datagram: what comes before the line, and the line. */
struct parts {
    struct iovec vector[2];
    size_t n;
};

static int send_message(const struct datagrams *datagrams, const char *path, struct msghdr *message)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    message->msg_name = &address;
    message->msg_namelen = sizeof(address);
    ssize_t n;
    do
        n = sendmsg(datagrams->fd, message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int make_sealed(struct parts *parts)
{
    CLEANUP_FD int fd = memfd_create("reloader-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t size = 0;
    for (size_t i = 0; i < parts->n; i++)
        size += parts->vector[i].iov_len;
    if (fd < 0 || writev(fd, parts->vector, (int)parts->n) != (ssize_t)size ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return errno > 0 ? -errno : -EIO;
    return TAKE_FD(fd);
}

/* What is too long for a datagram, journald takes as a sealed memfd. */
static int send_sealed(const struct datagrams *datagrams, struct parts *parts)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    CLEANUP_FD int fd = make_sealed(parts);
    if (fd < 0)
        return fd;
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    return send_message(datagrams, JOURNAL_SOCKET, &message);
}

static int send_parts(const struct datagrams *datagrams, const char *path, struct parts *parts,
                      bool journal)
{
    struct msghdr message = {.msg_iov = parts->vector, .msg_iovlen = parts->n};
    int r = send_message(datagrams, path, &message);
    return r == -EMSGSIZE && journal ? send_sealed(datagrams, parts) : r;
}

/* Each line with the same head. A line that is too long goes alone; with any other failure the rest goes with it. */
static void send_lines(struct datagrams *datagrams, const char *path, const struct iovec *head,
                       struct job *job)
{
    bool journal = strcmp(path, JOURNAL_SOCKET) == 0;
    int r = open_socket(datagrams);
    for (size_t at = 0, size; at < job->size; at += size) {
        char *line = job->data + at;
        size = lines_first(line, job->size - at);
        struct parts parts = {.vector = {*head, {line, size - !journal}}, .n = 2};
        if (r == 0 || r == -EMSGSIZE)
            r = send_parts(datagrams, path, &parts, journal);
        if (r == 0)
            continue;
        job->error = -r;
        job->step = "write to";
        job_drop(job, line, size);
    }
}

void datagrams_to_journal(struct datagrams *datagrams, const char *identifier, struct job *job)
{
    char head[HEAD_SIZE];
    static const char name[] = "MESSAGE=";
    const struct log_record record = {.level = LOG_LEVEL_INFO,
                                      .subject = &job->origin->subject,
                                      .stream = job->origin->stream};
    size_t n = log_record_put_fields(head, sizeof(head) - sizeof(name), identifier, &record, NULL);
    memcpy(head + n, name, sizeof(name) - 1);
    send_lines(datagrams, JOURNAL_SOCKET,
               &(struct iovec){.iov_base = head, .iov_len = n + sizeof(name) - 1}, job);
}

void datagrams_to_syslog(struct datagrams *datagrams, struct job *job)
{
    char head[HEAD_SIZE], when[40];
    time_t now = time(NULL);
    struct tm tm;
    (void)localtime_r(&now, &tm);
    (void)strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
    int n = snprintf(head, sizeof(head), "<%d>%s %s[%d]: ", SYSLOG_PRIORITY, when,
                     job->origin->subject.program, (int)job->origin->subject.pid);
    send_lines(datagrams, SYSLOG_SOCKET,
               &(struct iovec){.iov_base = head, .iov_len = (size_t)n}, job);
}
