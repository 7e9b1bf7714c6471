/*
 * What can be changed of a socket that listens, is changed: connections in its queue and its very inode stay. Whether it will
 * work is tried on a socket and a file that nobody else sees.
 */
#include "net/listener.h"

#include "base/fd.h"
#include "base/strv.h"
#include "net/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_ipv6(const struct listener *listener)
{
    return listener->n_sockets > 0 &&
           listener->sockets[0]->address.socket.generic.sa_family == AF_INET6;
}

/* The key that would need a new bind(), or NULL. */
static const char *find_fixed(const struct listener *listener,
                              const struct listener_options *options)
{
    const struct config_socket_options *old = &listener->options.settings,
                                       *new = &options->settings;
    if (has_ipv6(listener) && listener->options.ipv6_only != options->ipv6_only)
        return "ipv6_only";
    if (old->freebind != new->freebind)
        return "options.freebind";
    if (old->transparent != new->transparent)
        return "options.transparent";
    if (strcmp(old->device, new->device) != 0)
        return "options.device";
    return NULL;
}

static bool same_id(struct config_id a, struct config_id b)
{
    return a.set == b.set && (!a.set || a.id == b.id);
}

static bool has_same_owner(const struct listener_options *a, const struct listener_options *b)
{
    return same_id(a->owner, b->owner) && same_id(a->group, b->group);
}

static uid_t owner_of(const struct listener_options *options)
{
    return options->owner.set ? options->owner.id : geteuid();
}

static gid_t group_of(const struct listener_options *options)
{
    return options->group.set ? options->group.id : getegid();
}

/* Says what is wrong with the socket's file. */
static int fail(const char *path, const char *what, int error, char **ret_error)
{
    *ret_error = string_format(
        "unix:%s: its %s cannot be changed: %s%s", path, what, strerror(error),
        error == EPERM ? ": only root may give it away, and others only to a "
                         "group that they are in"
                       : "");
    return -error;
}

/* On a file without a name, where the file system has such. */
static int try_owner(const struct listener_socket *socket, const struct listener_options *options,
                     char **ret_error)
{
    const char *path = address_unix_path(&socket->address);
    CLEANUP_FREE char *directory = path ? strndup(path, (size_t)(strrchr(path, '/') - path) + 1)
                                        : NULL;
    if (!path)
        return 0;
    if (!directory)
        return -ENOMEM;
    CLEANUP_FD int scratch = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (scratch >= 0 && fchown(scratch, owner_of(options), group_of(options)) < 0)
        return fail(path, "owner and group", errno, ret_error);
    return 0;
}

static int try_settings(const struct listener *listener, const struct listener_options *options,
                        char **ret_error)
{
    const struct address *address = &listener->sockets[0]->address;
    CLEANUP_FREE char *warning = NULL;
    CLEANUP_FD int scratch = socket(address->socket.generic.sa_family,
                                    (address->datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
                                    0);
    if (scratch < 0)
        return -errno;
    return socket_options_change(scratch, listener->name, &listener->options.settings,
                                 &options->settings, &warning, ret_error);
}

int listener_try_change(const struct listener *listener, const struct listener_options *options,
                        char **ret_error)
{
    if (listener->n_sockets == 0 || listener->sockets[0]->taken_over)
        return 0;
    const char *fixed = find_fixed(listener, options);
    if (fixed) {
        *ret_error = string_format("sockets.%s.%s cannot change while its address stays: the "
                                   "kernel fixes it when a socket is bound; give it "
                                   "another address, or restart the master",
                                   listener->name, fixed);
        return -EOPNOTSUPP;
    }
    int r = try_settings(listener, options, ret_error);
    if (r == 0 && !has_same_owner(&listener->options, options))
        r = try_owner(listener->sockets[0], options, ret_error);
    return r;
}

/* What a new socket's file would get. */
static mode_t mode_of(const struct listener_options *options)
{
    if (options->mode_set)
        return options->mode & 0777;
    mode_t mask = umask(0);
    (void)umask(mask);
    return 0777 & ~mask;
}

static int change_file(const struct listener_socket *socket, const struct listener_options *before,
                       const struct listener_options *options, char **ret_error)
{
    const char *path = address_unix_path(&socket->address);
    bool same_mode = before->mode_set == options->mode_set && before->mode == options->mode;
    struct stat st;
    char self[32];
    if (!path || !socket->owns_file || (same_mode && has_same_owner(before, options)))
        return 0;
    CLEANUP_FD int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstat(file, &st) < 0)
        return fail(path, "mode and owner", errno, ret_error);
    if (st.st_dev != socket->file_device || st.st_ino != socket->file_inode)
        return fail(path, "mode and owner", ESTALE, ret_error);
    if (!has_same_owner(before, options) &&
        fchownat(file, "", owner_of(options), group_of(options), AT_EMPTY_PATH) < 0)
        return fail(path, "owner and group", errno, ret_error);
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", file);
    return chmod(self, mode_of(options)) < 0 ? fail(path, "mode", errno, ret_error) : 0;
}

/* listen() sets the backlog anew, and forgets nobody who waits. */
static int change_backlog(struct listener_socket *socket, const struct listener_options *before,
                          const struct listener_options *options)
{
    if (socket->address.datagram || before->backlog == options->backlog)
        return 0;
    if (listen(socket->fd, options->backlog > 0 ? options->backlog : INT_MAX) < 0)
        return -errno;
    listener_remember_backlog(socket);
    return 0;
}

static int change_socket(struct listener_socket *socket, const struct listener_options *before,
                         const struct listener_options *options, char **ret_warning,
                         char **ret_error)
{
    int r = before->nonblocking == options->nonblocking
                ? 0
                : fd_set_nonblocking(socket->fd, options->nonblocking);
    if (r == 0)
        r = change_backlog(socket, before, options);
    if (r < 0 || socket->taken_over)
        return r;
    r = socket_options_change(socket->fd, options->name, &before->settings, &options->settings,
                              ret_warning, ret_error);
    return r < 0 ? r : change_file(socket, before, options, ret_error);
}

int listener_change(struct listener *listener, const char *name,
                    const struct listener_options *options, char **ret_warning, char **ret_error)
{
    const struct listener_options before = listener->options;
    CLEANUP_FREE char *renamed = strdup(name);
    int result = renamed ? 0 : -ENOMEM;
    if (!renamed)
        return result;
    listener->options = *options;
    listener->options.name = renamed;
    for (size_t i = 0; i < listener->n_sockets; i++) {
        CLEANUP_FREE char *error = NULL;
        int r = change_socket(listener->sockets[i], &before, &listener->options, ret_warning,
                              &error);
        if (r == 0 || result < 0)
            continue;
        result = r;
        *ret_error = error ? TAKE_PTR(error) : string_format("%s: %s", name, strerror(-r));
    }
    free(listener->name);
    listener->name = TAKE_PTR(renamed);
    /* The next change tries again. */
    if (result < 0)
        listener->options = before;
    listener->options.name = listener->name;
    listener->mode_told = false;
    return result;
}
