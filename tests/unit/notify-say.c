/*
 * notify-say TEXT - writes one datagram to $NOTIFY_SOCKET and leaves when it has been dealt with, as systemd-notify does:
 * BARRIER=1 brings the end of a pipe along, which closes when whoever reads the datagrams has come that far.
 */
#include "base/fd.h"
#include "base/macros.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool say(int to, const char *text, int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || strlen(path) >= sizeof(address.sun_path))
        return false;
    strcpy(address.sun_path, path);
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec vector = {.iov_base = (char *)text, .iov_len = strlen(text)};
    struct msghdr message = {
        .msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = &vector, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return sendmsg(to, &message, MSG_NOSIGNAL) == (ssize_t)vector.iov_len;
}

int main(int argc, char **argv)
{
    int ends[2];
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (argc != 2 || fd < 0 || pipe(ends) < 0)
        return 2;
    if (!say(fd, argv[1], -1) || !say(fd, "BARRIER=1", ends[1]))
        return 3;
    (void)close(ends[1]);
    struct pollfd poll_fd = {.fd = ends[0]};
    return poll(&poll_fd, 1, 60000) == 1 ? 0 : 4;
}
