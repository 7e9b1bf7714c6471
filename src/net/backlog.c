/*
 * The backlog belongs to the socket, and listen() sets it anew, whoever calls it: many servers do so on a socket that they were
 * given, some with 5. It would shrink for all, and stay so.
 */
#include "net/listener.h"

#include <sys/socket.h>

void listener_remember_backlog(struct listener_socket *socket)
{
    unsigned queue, backlog;
    if (listener_queue(socket, &queue, &backlog) == 0)
        socket->backlog = backlog;
}

void listener_restore_backlog(const struct listener *listener, unsigned slot)
{
    size_t i = listener->n_sockets == 1 ? 0 : slot;
    unsigned queue, backlog;
    if (i >= listener->n_sockets)
        return;
    const struct listener_socket *socket = &listener->sockets[i];
    if (socket->backlog > 0 && listener_queue(socket, &queue, &backlog) == 0 &&
        backlog < socket->backlog)
        (void)listen(socket->fd, (int)socket->backlog);
}
