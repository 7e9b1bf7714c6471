/*
 * What workers may do to a socket that all share, and how it is put right.
 *
 * The backlog belongs to the socket, and listen() sets it anew, whoever calls it: many servers do so on a socket that they were
 * given, some with 5. It would shrink for all, and stay so.
 *
 * And shutdown() of a listening socket ends the listening, for all who hold it: some servers do that when they leave. Clients are
 * refused until somebody calls listen() again. For a Unix socket that does not help: it still looks as if it listened, but refuses
 * for ever.
 *
 * O_NONBLOCK is shared as well. Most servers set it and none that sets it would be served by taking it away: it is only looked at.
 */
#include "net/listener.h"

#include "net/group.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

void listener_remember_backlog(struct listener_socket *socket)
{
    unsigned queue, backlog;
    if (!socket->address.datagram && listener_queue(socket, &queue, &backlog) == 0)
        socket->backlog = backlog;
}

static bool is_listening(int fd)
{
    int listens = 1;
    socklen_t size = sizeof(listens);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || listens;
}

static bool is_shut_down_unix(const struct listener_socket *socket)
{
    struct pollfd state = {.fd = socket->fd, .events = POLLRDHUP};
    return socket->address.socket.generic.sa_family == AF_UNIX && poll(&state, 1, 0) == 1 &&
           (state.revents & (POLLRDHUP | POLLHUP));
}

static int backlog_of(const struct listener *listener, const struct listener_socket *socket)
{
    if (socket->backlog > 0)
        return (int)socket->backlog;
    return listener->options.backlog > 0 ? listener->options.backlog : INT_MAX;
}

/* A failure is told once. */
static int lose(struct listener_socket *socket, int error)
{
    bool told = socket->lost;
    socket->lost = true;
    return told ? 0 : error;
}

/* Members of a group leave it when they are shut down; which of several left first cannot be seen any more. */
static int listen_again(struct listener *listener, size_t index)
{
    struct listener_socket *socket = listener->sockets[index];
    bool alone = true;
    for (size_t i = 0; i < listener->n_sockets; i++)
        alone = alone && (i == index || is_listening(listener->sockets[i]->fd));
    if (listen(socket->fd, backlog_of(listener, socket)) < 0) {
        int error = -errno;
        listener_group_return(listener, index, false);
        return lose(socket, error);
    }
    socket->lost = false;
    listener_group_return(listener, index, alone);
    return 1;
}

int listener_restore(struct listener *listener, unsigned slot)
{
    size_t index = listener->n_sockets == 1 ? 0 : slot;
    if (index >= listener->n_sockets || listener->sockets[index]->address.datagram)
        return 0;
    struct listener_socket *socket = listener->sockets[index];
    unsigned queue, backlog;
    if (is_shut_down_unix(socket))
        return lose(socket, -ESHUTDOWN);
    if (!is_listening(socket->fd))
        return listen_again(listener, index);
    if (socket->backlog > 0 && listener_queue(socket, &queue, &backlog) == 0 &&
        backlog < socket->backlog)
        (void)listen(socket->fd, (int)socket->backlog);
    return 0;
}

int listener_socket_watch(struct listener_socket *socket, int epoll_fd)
{
    struct epoll_event nothing = {.events = EPOLLET};
    if (socket->address.datagram || socket->watch_fd > 0)
        return 0;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, socket->fd, &nothing) < 0)
        return -errno;
    socket->watch_fd = epoll_fd;
    return 0;
}

bool listener_mode_differs(const struct listener *listener, unsigned slot)
{
    int flags = fcntl(listener_fd(listener, slot), F_GETFL);
    return flags >= 0 && !!(flags & O_NONBLOCK) != listener->options.nonblocking;
}
