#include "net/listener.h"

#include "base/fd.h"
#include "net/bind.h"
#include "net/group.h"

#include <errno.h>
#include <string.h>

struct listener *listener_ref(struct listener *listener)
{
    listener->references++;
    return listener;
}

void listener_close(struct listener *listener)
{
    /* It stays a group of one, with the program that chooses that one: whoever should join it gets nobody. */
    bool goes_on = listener->n_sockets > 0 && listener->sockets[0]->references > 1;
    while (listener->n_sockets > 0) {
        listener->n_sockets--;
        if (goes_on && listener->n_sockets > 0)
            listener_group_leave(listener);
        (void)listener_socket_unref(listener->sockets[listener->n_sockets]);
    }
}

struct listener *listener_unref(struct listener *listener)
{
    if (!listener || --listener->references > 0)
        return NULL;
    listener_close(listener);
    steering_clear(&listener->steering);
    free(listener->alive);
    free(listener->sockets);
    free(listener->name);
    free(listener);
    return NULL;
}

int listener_new_empty(const char *name, const struct listener_options *options,
                       struct listener **ret)
{
    CLEANUP(listener_unrefp) struct listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->references = 1;
    listener->options = *options;
    listener->name = strdup(name);
    if (!listener->name)
        return -ENOMEM;
    listener->options.name = listener->name;
    listener_group_begin(listener);
    *ret = TAKE_PTR(listener);
    return 0;
}

int listener_new(const char *name, const struct address *addresses, size_t n_addresses,
                 const struct listener_options *options, struct listener **ret, char **ret_error)
{
    CLEANUP(listener_unrefp) struct listener *listener = NULL;
    *ret_error = NULL;
    int r = listener_new_empty(name, options, &listener);
    if (r == 0)
        r = listener_add(listener, addresses, n_addresses, ret_error);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(listener);
    return 0;
}

int listener_share(struct listener *listener, struct listener_socket *socket)
{
    struct listener_socket **larger = reallocarray(listener->sockets, listener->n_sockets + 1,
                                                   sizeof(struct listener_socket *));
    if (!larger)
        return -ENOMEM;
    listener->sockets = larger;
    socket->references++;
    larger[listener->n_sockets++] = socket;
    return 0;
}

struct listener_socket *listener_find(const struct listener *listener,
                                      const struct address *address)
{
    for (size_t i = 0; i < listener->n_sockets; i++)
        if (address_equal(&listener->sockets[i]->address, address))
            return listener->sockets[i];
    return NULL;
}

static int open_next(struct listener *listener, const struct address *address, char **ret_error)
{
    struct listener_socket *socket = NULL;
    bool joins = listener->n_sockets > 0;
    int r = listener_socket_open(address, &listener->options, joins, &socket, ret_error);
    if (r < 0)
        return r;
    listener_remember_backlog(socket);
    r = listener_group_join(listener);
    if (r < 0) {
        (void)listener_socket_unref(socket);
        return r;
    }
    listener->sockets[listener->n_sockets++] = socket;
    if (!joins)
        listener_group_found(listener);
    return 0;
}

/* The second member, which makes it a group for the kernel. */
static int open_second(struct listener *listener, const struct address *address, char **ret_error)
{
    listener->options.joins_deaf = true;
    int r = open_next(listener, address, ret_error);
    listener->options.joins_deaf = false;
    return r == 0 ? listener_group_hear(listener, ret_error) : r;
}

int listener_add(struct listener *listener, const struct address *addresses, size_t n_addresses,
                 char **ret_error)
{
    size_t before = listener->n_sockets;
    struct listener_socket **larger = reallocarray(listener->sockets, before + n_addresses + 1,
                                                   sizeof(struct listener_socket *));
    *ret_error = NULL;
    if (!larger)
        return -ENOMEM;
    listener->sockets = larger;
    for (size_t i = 0; i < n_addresses; i++) {
        int r = listener_group_begins(listener) ? open_second(listener, &addresses[i], ret_error)
                                                : open_next(listener, &addresses[i], ret_error);
        if (r < 0) {
            listener_truncate(listener, before);
            return r;
        }
    }
    return 0;
}

void listener_truncate(struct listener *listener, size_t n)
{
    size_t before = listener->n_sockets;
    while (listener->n_sockets > n && !listener->sockets[listener->n_sockets - 1]->taken_over) {
        listener->n_sockets--;
        listener_group_leave(listener);
        (void)listener_socket_unref(listener->sockets[listener->n_sockets]);
    }
    if (listener->n_sockets < before)
        listener_group_follow(listener);
}

int listener_fd(const struct listener *listener, unsigned slot)
{
    if (listener->n_sockets == 1)
        return listener->sockets[0]->fd;
    return slot < listener->n_sockets ? listener->sockets[slot]->fd : -1;
}
