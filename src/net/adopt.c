/*
 * A socket that somebody else bound is used as it is: its path and its rights are theirs, and so is its backlog unless the
 * configuration names one. Only whether it blocks is ours to say, as all who hold it share that.
 */
#include "net/listener.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static int make_ready(int fd, const struct listener_options *options, int type)
{
    int r = fd_set_nonblocking(fd, options->nonblocking);
    if (r < 0)
        return r;
    if (type == SOCK_STREAM && options->backlog > 0 && listen(fd, options->backlog) < 0)
        return -errno;
    return 0;
}

static int describe(int fd, const struct address *address, const struct listener_options *options,
                    struct listener_socket **ret)
{
    struct stat st;
    int type = 0;
    socklen_t size = sizeof(type);
    if (fstat(fd, &st) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -errno;
    int r = make_ready(fd, options, type);
    if (r < 0)
        return r;
    struct listener_socket *socket = malloc(sizeof(*socket));
    if (!socket)
        return -ENOMEM;
    *socket = (struct listener_socket){
        .references = 1, .fd = fd, .address = *address, .inode = st.st_ino, .taken_over = true};
    *ret = socket;
    return 0;
}

int listener_adopt(struct listener *listener, int fd, const struct address *address,
                   char **ret_error)
{
    size_t n = listener->n_sockets;
    struct listener_socket **larger = reallocarray(listener->sockets, n + 1,
                                                   sizeof(struct listener_socket *));
    if (!larger)
        return -ENOMEM;
    listener->sockets = larger;
    int r = describe(fd, address, &listener->options, &larger[n]);
    if (r < 0) {
        CLEANUP_FREE char *text = address_to_text(address);
        *ret_error = string_format("%s: cannot take over the socket that was passed: %s",
                                   text ? text : "?", strerror(-r));
        return r;
    }
    listener->n_sockets++;
    listener_remember_backlog(larger[n]);
    return 0;
}
