/*
 * What listener_steer() is told is kept, so that the program can follow the group when that changes by itself. A socket that is
 * new is not alive, and the program from before does not know its place: it gets nothing before it is said to be alive.
 *
 * Where there is no program from before, because the first socket was bound alone, the kernel makes it a group when the second one begins to
 * listen, and takes a program only then: in between it may choose the second one, whom nobody serves and whom a reload that fails
 * closes again, with the clients in its queue. So it is deaf until the program is there. (A datagram would not be repeated, so one for UDP
 * does hear: what it gets waits for the worker that comes.)
 */
#include "net/group.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

void listener_group_begin(struct listener *listener)
{
    uint32_t seed;
    /* Where there is no randomness, the choice can be foreseen; no worse. */
    if (listener->options.reuseport &&
        getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
        listener->steering.seed = seed;
}

int listener_group_join(struct listener *listener)
{
    if (!listener->options.reuseport)
        return 0;
    bool *larger = reallocarray(listener->alive, listener->n_sockets + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    listener->alive = larger;
    larger[listener->n_sockets] = false;
    listener->is_steered = false;
    return steering_add(&listener->steering);
}

void listener_group_found(struct listener *listener)
{
    listener->has_program = listener->options.reuseport;
}

bool listener_group_begins(const struct listener *listener)
{
    return listener->options.reuseport && listener->n_sockets > 0 && !listener->has_program;
}

int listener_group_hear(struct listener *listener, char **ret_error)
{
    int unused = 0;
    listener_group_follow(listener);
    if (!listener->is_steered) {
        *ret_error = string_format("socket '%s' cannot become a group (sharing: per_worker): the "
                                   "kernel takes no program that chooses among its members",
                                   listener->name);
        return -EOPNOTSUPP;
    }
    (void)setsockopt(listener->sockets[listener->n_sockets - 1]->fd, SOL_SOCKET, SO_DETACH_FILTER,
                     &unused, sizeof(unused));
    return 0;
}

void listener_group_leave(struct listener *listener)
{
    const struct listener_socket *socket = listener->sockets[listener->n_sockets];
    if (!listener->options.reuseport)
        return;
    if (!socket->address.datagram && socket->references == 1)
        (void)shutdown(socket->fd, SHUT_RDWR);
    steering_remove_last(&listener->steering);
}

void listener_group_return(struct listener *listener, size_t number, bool alone)
{
    if (!listener->options.reuseport)
        return;
    steering_again(&listener->steering, number);
    listener->steering.is_lost = listener->steering.is_lost || !alone;
    listener_group_follow(listener);
}

/* Where nobody is alive, all queues are as good; the program before this one would fill a single one. */
static int attach(struct listener *listener)
{
    struct sock_filter *program;
    size_t n = listener->n_sockets, length;
    bool all[STEERING_SOCKETS_MAX];
    memset(all, true, sizeof(all));
    const bool *alive = memchr(listener->alive, true, n) ? listener->alive : all;
    int r = steering_build(&listener->steering, alive, &program, &length);
    if (r < 0)
        return r;
    r = steering_attach(listener->sockets[0]->fd, program, length);
    free(program);
    if (r == 0)
        listener->has_program = true;
    /* A socket that is alone, and was never in a group, has nothing to be chosen from. Those who join it later are deaf at first. */
    return n == 1 && r == -EINVAL ? 0 : r;
}

void listener_group_follow(struct listener *listener)
{
    /* Where it fails, listener_steer() tries again and can say so. */
    if (listener->options.reuseport && listener->n_sockets > 0)
        listener->is_steered = attach(listener) == 0;
}

int listener_steer(struct listener *listener, const bool *alive)
{
    size_t n = listener->n_sockets;
    if (n == 0 || (listener->is_steered && memcmp(listener->alive, alive, n) == 0))
        return 0;
    memcpy(listener->alive, alive, n);
    int r = attach(listener);
    listener->is_steered = r == 0;
    return r;
}
