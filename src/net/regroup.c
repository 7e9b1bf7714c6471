/*
 * A group around a socket that was bound alone. The kernel makes it one when the second member begins to listen, and only then takes a program that
 * chooses: in between that member may be chosen, whom nobody serves. So it is deaf until the program is there. (A datagram would not be repeated, so
 * members for UDP do hear: what they get waits for the worker that comes.)
 */
#include "net/listener.h"

#include "base/strv.h"
#include "net/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int found(struct listener *listener, struct listener_socket *socket)
{
    int on = 1;
    if (setsockopt(socket->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    int r = listener_group_join(listener);
    if (r == 0)
        r = listener_share(listener, socket);
    if (r == 0)
        listener->alive[0] = true;
    return r;
}

static int join_others(struct listener *listener, size_t n, char **ret_error)
{
    struct address *addresses = calloc(n, sizeof(*addresses));
    if (!addresses)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        addresses[i] = listener->sockets[0]->address;
    listener->options.joins_deaf = true;
    int r = listener_add(listener, addresses, n - 1, ret_error);
    listener->options.joins_deaf = false;
    free(addresses);
    return r;
}

static void listen_to_all(const struct listener *listener)
{
    int unused = 0;
    for (size_t i = 1; i < listener->n_sockets; i++)
        (void)setsockopt(listener->sockets[i]->fd, SOL_SOCKET, SO_DETACH_FILTER, &unused,
                         sizeof(unused));
}

int listener_regroup(const char *name, struct listener_socket *socket, size_t n,
                     const struct listener_options *options, struct listener **ret,
                     char **ret_error)
{
    CLEANUP(listener_unrefp) struct listener *listener = NULL;
    int r = listener_new_empty(name, options, &listener);
    if (r == 0)
        r = found(listener, socket);
    if (r == 0)
        r = join_others(listener, n, ret_error);
    if (r < 0)
        return r;
    listener_group_follow(listener);
    if (n > 1 && !listener->is_steered) {
        *ret_error = string_format("socket '%s' cannot become a group (sharing: per_worker): the "
                                   "kernel takes no program that chooses among its members",
                                   name);
        return -EOPNOTSUPP;
    }
    listen_to_all(listener);
    *ret = TAKE_PTR(listener);
    return 0;
}
