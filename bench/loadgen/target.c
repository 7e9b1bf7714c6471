/*
 * target.c - to one port, one source address has 28,000 ports, and each is out of use for a while after its
 * connection. Taking loopback addresses in turn keeps the generator from failing for reasons of its own.
 */
#include "loadgen/target.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define FIRST_SOURCE 0x7f4d0001u /* 127.77.0.1 */

static bool is_loopback(const struct address *address)
{
    return address->socket.generic.sa_family == AF_INET &&
           ntohl(address->socket.in.sin_addr.s_addr) >> 24 == 127;
}

int target_parse(const char *text, unsigned sources, struct target *ret, const char **ret_reason)
{
    struct target target = {.sources = sources};
    int r = address_parse(text, &target.address, ret_reason);
    if (r < 0)
        return r;
    if (!is_loopback(&target.address))
        target.sources = 0;
    *ret = target;
    return 0;
}

static int bind_source(struct target *target, int fd)
{
    const int on = 1;
    const struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(FIRST_SOURCE + target->next_source),
    };
    target->next_source = (target->next_source + 1) % target->sources;
    /* Otherwise bind() would choose the port, which must be free towards everybody then. */
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
        return -errno;
    return bind(fd, (const struct sockaddr *)&source, sizeof(source)) < 0 ? -errno : 0;
}

int target_open(struct target *target, int type, int *ret_fd)
{
    int family = target->address.socket.generic.sa_family;
    CLEANUP_FD int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const int on = 1;
    if (type == SOCK_STREAM && family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    int r = target->sources > 0 ? bind_source(target, fd) : 0;
    if (r < 0)
        return r;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int target_connect(const struct target *target, int fd)
{
    if (connect(fd, &target->address.socket.generic, target->address.length) == 0)
        return 1;
    return errno == EINPROGRESS ? 0 : -errno;
}

int target_connected(int fd)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}
