/* A group around a socket that was bound alone, and may have been in a group before. */
#include "net/group.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static int found(struct listener *listener, struct listener_socket *socket)
{
    int on = 1;
    if (setsockopt(socket->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    int r = listener_group_join(listener);
    if (r == 0)
        r = listener_share(listener, socket);
    if (r < 0)
        return r;
    listener->alive[0] = true;
    listener_group_follow(listener);
    return 0;
}

static int join_others(struct listener *listener, size_t n, char **ret_error)
{
    struct address *addresses = calloc(n, sizeof(*addresses));
    if (!addresses)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        addresses[i] = listener->sockets[0]->address;
    int r = listener_add(listener, addresses, n - 1, ret_error);
    free(addresses);
    return r;
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
    *ret = TAKE_PTR(listener);
    return 0;
}
