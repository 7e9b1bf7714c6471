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
    bool wanted;
    int level, option;
    const void *value;
    socklen_t size;
};

int socket_options_set(int fd, const char *name, const struct config_socket_options *options,
                       const struct address *address, char **ret_warning, char **ret_error)
{
    const int on = 1, fastopen = (int)options->fastopen;
    const int seconds = (int)((options->defer_accept_usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
    bool ipv6 = address->socket.generic.sa_family == AF_INET6;
    const struct option list[] = {
        {"freebind", options->freebind, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on)},
        {"transparent", options->transparent, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
         ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof(on)},
        {"device", options->device[0] != '\0', SOL_SOCKET, SO_BINDTODEVICE, options->device,
         (socklen_t)strlen(options->device)},
        {"mark", options->mark > 0, SOL_SOCKET, SO_MARK, &options->mark, sizeof(options->mark)},
        {"nodelay", options->nodelay, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)},
        {"keepalive", options->keepalive, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)},
        {"defer_accept", seconds > 0, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)},
        {"fastopen", fastopen > 0, IPPROTO_TCP, TCP_FASTOPEN, &fastopen, sizeof(fastopen)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(list); i++)
        if (list[i].wanted &&
            setsockopt(fd, list[i].level, list[i].option, list[i].value, list[i].size) < 0)
            return fail(name, list[i].name, errno, ret_error);
    return set_buffers(fd, name, options, ret_warning, ret_error);
}
