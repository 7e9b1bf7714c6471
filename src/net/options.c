#include "net/options.h"

#include "base/clock.h"
#include "base/strv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

static const char *remedy_for(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return ": it needs root or CAP_NET_ADMIN";
    case ENODEV:
        return ": there is no such network interface";
    case ENOPROTOOPT:
    case EOPNOTSUPP:
        return ": this kernel does not have it";
    }
    return "";
}

static int fail(const char *name, const char *option, int error, char **ret_error)
{
    *ret_error = string_format("sockets.%s.options.%s cannot be set: %s%s", name, option,
                               strerror(error), remedy_for(error));
    return -error;
}

/* The kernel doubles what it is given, for its own needs, and silently cuts it to a limit that root may exceed. */
static int set_buffer(int fd, int option, int forced, uint64_t wanted, uint64_t *ret_got)
{
    int size = (int)wanted, got = 0;
    socklen_t length = sizeof(got);
    if (setsockopt(fd, SOL_SOCKET, forced, &size, sizeof(size)) < 0 &&
        setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)) < 0)
        return -errno;
    if (getsockopt(fd, SOL_SOCKET, option, &got, &length) < 0)
        return -errno;
    *ret_got = (uint64_t)got / 2;
    return 0;
}

static int set_buffers(int fd, const char *name, const struct config_socket_options *options,
                       char **ret_warning, char **ret_error)
{
    const struct {
        const char *name, *limit;
        uint64_t wanted;
        int option, forced;
    } buffers[] = {
        {"receive_buffer", "rmem_max", options->receive_buffer, SO_RCVBUF, SO_RCVBUFFORCE},
        {"send_buffer", "wmem_max", options->send_buffer, SO_SNDBUF, SO_SNDBUFFORCE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(buffers); i++) {
        if (buffers[i].wanted == 0)
            continue;
        uint64_t got = 0;
        int r = set_buffer(fd, buffers[i].option, buffers[i].forced, buffers[i].wanted, &got);
        if (r < 0)
            return fail(name, buffers[i].name, -r, ret_error);
        if (got < buffers[i].wanted && !*ret_warning)
            *ret_warning = string_format(
                "sockets.%s.options.%s: the system gives %llu bytes instead of %llu: raise "
                "net.core.%s, or start reloader as root",
                name, buffers[i].name, (unsigned long long)got,
                (unsigned long long)buffers[i].wanted, buffers[i].limit);
    }
    return 0;
}

struct option {
    const char *name;
    int before, wanted, level, option;
};

/* Those that are what they were before need nothing; a new socket has none of them. */
static int set_numbers(int fd, const char *name, const struct option *list, size_t n,
                       char **ret_error)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].wanted != list[i].before &&
            setsockopt(fd, list[i].level, list[i].option, &list[i].wanted, sizeof(int)) < 0)
            return fail(name, list[i].name, errno, ret_error);
    return 0;
}

/* The kernel counts seconds. */
static int defer_seconds(const struct config_socket_options *options)
{
    return (int)((options->defer_accept_usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
}

int socket_options_change(int fd, const char *name, const struct config_socket_options *before,
                          const struct config_socket_options *options, char **ret_warning,
                          char **ret_error)
{
    const struct option list[] = {
        {"mark", (int)before->mark, (int)options->mark, SOL_SOCKET, SO_MARK},
        {"nodelay", before->nodelay, options->nodelay, IPPROTO_TCP, TCP_NODELAY},
        {"keepalive", before->keepalive, options->keepalive, SOL_SOCKET, SO_KEEPALIVE},
        {"defer_accept", defer_seconds(before), defer_seconds(options), IPPROTO_TCP,
         TCP_DEFER_ACCEPT},
        {"fastopen", (int)before->fastopen, (int)options->fastopen, IPPROTO_TCP, TCP_FASTOPEN},
    };
    int r = set_numbers(fd, name, list, ARRAY_SIZE(list), ret_error);
    return r < 0 ? r : set_buffers(fd, name, options, ret_warning, ret_error);
}

static int set_device(int fd, const char *name, const char *device, char **ret_error)
{
    if (*device &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0)
        return fail(name, "device", errno, ret_error);
    return 0;
}

int socket_options_set(int fd, const char *name, const struct config_socket_options *options,
                       const struct address *address, char **ret_warning, char **ret_error)
{
    static const struct config_socket_options none = {0};
    bool ipv6 = address->socket.generic.sa_family == AF_INET6;
    const struct option list[] = {
        {"freebind", 0, options->freebind, IPPROTO_IP, IP_FREEBIND},
        {"transparent", 0, options->transparent, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
         ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT},
    };
    int r = set_numbers(fd, name, list, ARRAY_SIZE(list), ret_error);
    if (r == 0)
        r = set_device(fd, name, options->device, ret_error);
    return r < 0 ? r : socket_options_change(fd, name, &none, options, ret_warning, ret_error);
}
