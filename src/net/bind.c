/*
 * A TCP socket is bound with SO_REUSEADDR, so that connections of an earlier life in TIME_WAIT are not in the way; another
 * listener still is. Over UDP the same option would let two masters share the port, each with a part of the datagrams. The file of a Unix socket gets its mode from the umask at bind(), so that it never has another, and
 * nobody can connect before listen() anyway.
 *
 * SO_REUSEPORT lets any others of the same user in, a second master's as well. So the first socket of a group binds and listens without it, as
 * everybody does, and only then lets its own companions in: at no moment can two masters both believe that the address is theirs.
 *
 * Whatever fails ends in one line for people with the remedy, made where it is known what was tried.
 */
#include "net/bind.h"

#include "base/fd.h"
#include "base/strv.h"
#include "net/options.h"
#include "net/stale.h"
#include "net/steering.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIND_ATTEMPTS 3

static char *in_use_to_text(const struct address *address)
{
    CLEANUP_FREE char *owner = listener_find_owner(address);
    if (owner)
        return string_format("address in use by %s", owner);
    if (address->socket.generic.sa_family == AF_UNIX)
        return string_format("address in use, 'ss -xlp' run by root shows by whom");
    return string_format("address in use, 'ss -%canp sport = :%u' run by root shows by whom",
                         address->datagram ? 'u' : 't', ntohs(address->socket.in.sin_port));
}

static char *unix_failure_to_text(const char *path, int error)
{
    int directory = (int)(strrchr(path, '/') - path);

    if (directory == 0)
        directory = 1;
    if (error == ENOENT)
        return string_format("directory '%.*s' does not exist", directory, path);
    if (error == EACCES || error == EPERM)
        return string_format("no permission to make it in directory '%.*s'", directory, path);
    return string_format("%s", strerror(error));
}

static char *ip_failure_to_text(const struct address *address, int error)
{
    if (error == EACCES && ntohs(address->socket.in.sin_port) < IPPORT_RESERVED)
        return string_format("binding a port below 1024 needs root or CAP_NET_BIND_SERVICE");
    if (error == EADDRNOTAVAIL)
        return string_format("no interface has this address");
    if (error == EAFNOSUPPORT)
        return string_format("%s is off on this machine",
                             address->socket.generic.sa_family == AF_INET6 ? "IPv6" : "IPv4");
    return string_format("%s", strerror(error));
}

/* Says why it failed and returns error. */
static int fail(const struct address *address, int error, char **ret_error)
{
    CLEANUP_FREE char *text = address_to_text(address), *reason = NULL;
    const char *path = address_unix_path(address);

    if (error == -EADDRINUSE)
        reason = in_use_to_text(address);
    else if (path)
        reason = unix_failure_to_text(path, -error);
    else
        reason = ip_failure_to_text(address, -error);
    *ret_error = text && reason ? string_format("%s: %s", text, reason) : NULL;
    return error;
}

static int bind_once(int fd, const struct address *address, const struct listener_options *options)
{
    bool masked = options->mode_set && address_unix_path(address);
    mode_t before = masked ? umask(~options->mode & 0777) : 0;
    int r = bind(fd, &address->socket.generic, address->length) < 0 ? -errno : 0;
    if (masked)
        (void)umask(before);
    return r;
}

static int describe_obstacle(const char *path, int error, const char *kind, char **ret_error)
{
    if (error == -EEXIST)
        *ret_error = string_format(
            "unix:%s: %s is in the way, only the socket of a server that is gone is replaced", path,
            kind);
    else
        *ret_error = string_format("unix:%s: a socket is in the way and cannot be replaced: %s",
                                   path, strerror(-error));
    return error;
}

static int bind_path(int fd, const char *path, const struct address *address,
                     const struct listener_options *options, char **ret_error)
{
    int r = bind_once(fd, address, options);

    for (unsigned i = 1; r == -EADDRINUSE && i < BIND_ATTEMPTS; i++) {
        const char *kind = NULL;
        r = stale_socket_remove(path, &kind);
        if (r < 0 && r != -EADDRINUSE)
            return describe_obstacle(path, r, kind, ret_error);
        if (r < 0)
            break;
        r = bind_once(fd, address, options);
    }
    return r < 0 ? fail(address, r, ret_error) : 0;
}

static int refuse_intruder(const char *path, char **ret_error)
{
    *ret_error = string_format("unix:%s: somebody put another file in the place of the socket; let "
                               "its directory be one that only we may write to",
                               path);
    return -EBUSY;
}

static int remember_file(struct listener_socket *socket, const char *path, char **ret_error)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return fail(&socket->address, -errno, ret_error);
    if (!S_ISSOCK(st.st_mode))
        return refuse_intruder(path, ret_error);
    socket->file_device = st.st_dev;
    socket->file_inode = st.st_ino;
    socket->owns_file = true;
    return 0;
}

static int set_ip_options(int fd, const struct address *address,
                          const struct listener_options *options)
{
    int on = 1, ipv6_only = options->ipv6_only;
    if (!address->datagram && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    /* Said in both cases: what it is otherwise depends on net.ipv6.bindv6only. */
    if (address->socket.generic.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof(ipv6_only)) < 0)
        return -errno;
    return 0;
}

static int refuse_owner(const char *path, int error, char **ret_error)
{
    *ret_error = string_format(
        "unix:%s: cannot be given to its owner and group: %s%s", path, strerror(error),
        error == EPERM ? ": only root may give it away, and others only to a "
                         "group that they are in"
                       : "");
    return -error;
}

/*
 * Nobody can connect before listen(), so there is no moment at which it is open to the wrong ones. Where others may write to its
 * directory, its name may lead to any other file by now: what changes its owner is looked at first.
 */
static int set_owner(const struct listener_socket *socket, const char *path,
                     const struct listener_options *options, char **ret_error)
{
    struct stat st;
    if (!options->owner.set && !options->group.set)
        return 0;
    CLEANUP_FD int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstat(file, &st) < 0)
        return refuse_owner(path, errno, ret_error);
    if (st.st_dev != socket->file_device || st.st_ino != socket->file_inode)
        return refuse_intruder(path, ret_error);
    if (fchownat(file, "", options->owner.set ? options->owner.id : (uid_t)-1,
                 options->group.set ? options->group.id : (gid_t)-1, AT_EMPTY_PATH) < 0)
        return refuse_owner(path, errno, ret_error);
    return 0;
}

static int bind_socket(struct listener_socket *socket, const struct listener_options *options,
                       char **ret_error)
{
    const char *path = address_unix_path(&socket->address);
    if (path) {
        int r = bind_path(socket->fd, path, &socket->address, options, ret_error);
        if (r == 0)
            r = remember_file(socket, path, ret_error);
        return r < 0 ? r : set_owner(socket, path, options, ret_error);
    }
    int r = 0;
    if (socket->address.socket.generic.sa_family != AF_UNIX)
        r = set_ip_options(socket->fd, &socket->address, options);
    if (r == 0)
        r = bind_once(socket->fd, &socket->address, options);
    return r < 0 ? fail(&socket->address, r, ret_error) : 0;
}

static int let_others_in(int fd)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int prepare_group(const struct listener_socket *socket,
                         const struct listener_options *options, bool joins, char **ret_error)
{
    if (!options->reuseport)
        return 0;
    int r = joins ? let_others_in(socket->fd) : steering_found_group(socket->fd);
    if (r < 0) {
        CLEANUP_FREE char *text = address_to_text(&socket->address);
        *ret_error = text ? string_format("%s: cannot make a group of sockets (sharing: "
                                          "per_worker): %s; set sharing: shared",
                                          text, strerror(-r))
                          : NULL;
    }
    return r;
}

static int start_listening(struct listener_socket *socket, const struct listener_options *options,
                           bool joins)
{
    struct stat st;
    /* The kernel cuts it to net.core.somaxconn. Two sockets may be bound to one TCP address, but just one may listen. */
    if (!socket->address.datagram &&
        listen(socket->fd, options->backlog > 0 ? options->backlog : INT_MAX) < 0)
        return -errno;
    if (fstat(socket->fd, &st) < 0)
        return -errno;
    socket->inode = st.st_ino;
    return options->reuseport && !joins ? let_others_in(socket->fd) : 0;
}

/* Handshakes with it are not refused, but ignored: clients repeat them, and get to another member. */
static int deafen(int fd)
{
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog program = {.len = ARRAY_SIZE(nothing), .filter = nothing};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno : 0;
}

static int open_and_listen(struct listener_socket *result, const struct listener_options *options,
                           bool joins, char **ret_error)
{
    const struct address *address = &result->address;

    result->fd = socket(address->socket.generic.sa_family,
                        (address->datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC |
                            (options->nonblocking ? SOCK_NONBLOCK : 0),
                        0);
    if (result->fd < 0)
        return fail(address, -errno, ret_error);
    int r = socket_options_set(result->fd, options->name, &options->settings, address,
                               &result->warning, ret_error);
    if (r == 0)
        r = prepare_group(result, options, joins, ret_error);
    if (r == 0)
        r = bind_socket(result, options, ret_error);
    if (r < 0)
        return r;
    if (joins && options->joins_deaf && !address->datagram)
        r = deafen(result->fd);
    if (r == 0)
        r = start_listening(result, options, joins);
    return r < 0 ? fail(address, r, ret_error) : 0;
}

int listener_socket_open(const struct address *address, const struct listener_options *options,
                         bool joins, struct listener_socket **ret, char **ret_error)
{
    struct listener_socket *result = malloc(sizeof(*result));
    if (!result)
        return -ENOMEM;
    *result = (struct listener_socket){.references = 1, .fd = -1, .address = *address};
    int r = open_and_listen(result, options, joins, ret_error);
    if (r < 0)
        (void)listener_socket_unref(result);
    else
        *ret = result;
    return r;
}

struct listener_socket *listener_socket_unref(struct listener_socket *socket)
{
    if (!socket || --socket->references > 0)
        return NULL;
    const struct stat file = {.st_dev = socket->file_device, .st_ino = socket->file_inode};
    /* Before closing: as long as the socket is open, its file's inode number is not given to another. */
    if (socket->owns_file)
        (void)socket_file_remove(address_unix_path(&socket->address), &file);
    /* Closing is not enough: workers have it open, too. */
    if (socket->watch_fd > 0)
        (void)epoll_ctl(socket->watch_fd, EPOLL_CTL_DEL, socket->fd, NULL);
    (void)fd_close(socket->fd);
    free(socket->warning);
    free(socket);
    return NULL;
}
