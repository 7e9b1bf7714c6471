/*
 * What workers may do to a socket that all share, and how it is put right.
 *
 * The backlog belongs to the socket, and listen() sets it anew, whoever calls it: many servers do so on a socket that they were
 * given, some with 5. It would shrink for all, and stay so.
 *
 * And shutdown() of a listening socket ends the listening, for all who hold it: some servers do that when they leave. Clients are
 * refused until somebody calls listen() again.
 */
#include "net/listener.h"

#include "net/group.h"

#include <limits.h>
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

static int backlog_of(const struct listener *listener, const struct listener_socket *socket)
{
    if (socket->backlog > 0)
        return (int)socket->backlog;
    return listener->options.backlog > 0 ? listener->options.backlog : INT_MAX;
}

/* Only the workers of its slot can have shut down a socket of a group: that it left goes unseen until we look here. */
static bool listen_again(struct listener *listener, size_t index)
{
    bool alone = true;
    for (size_t i = 0; i < listener->n_sockets; i++)
        alone = alone && (i == index || is_listening(listener->sockets[i].fd));
    if (listen(listener->sockets[index].fd, backlog_of(listener, &listener->sockets[index])) < 0)
        return false;
    listener_group_return(listener, index, alone);
    return true;
}

bool listener_restore(struct listener *listener, unsigned slot)
{
    size_t index = listener->n_sockets == 1 ? 0 : slot;
    const struct listener_socket *socket = &listener->sockets[index];
    unsigned queue, backlog;
    if (index >= listener->n_sockets || socket->address.datagram)
        return false;
    if (!is_listening(socket->fd))
        return listen_again(listener, index);
    if (socket->backlog > 0 && listener_queue(socket, &queue, &backlog) == 0 &&
        backlog < socket->backlog)
        (void)listen(socket->fd, (int)socket->backlog);
    return false;
}
