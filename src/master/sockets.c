/* The master's listeners: bound once, one struct listener for each entry of the configuration's sockets. */
#include "master/master.h"

#include "base/log.h"
#include "base/strv.h"
#include "master/take-over.h"

#include <errno.h>
#include <string.h>

/* The addresses of slots `from` to `to` - 1. */
static int slot_addresses(const struct config_socket *socket, const struct config_program *program,
                          size_t from, size_t to, struct address **ret)
{
    struct address *addresses = calloc(to - from + 1, sizeof(*addresses));
    if (!addresses)
        return -ENOMEM;
    for (size_t i = from; i < to; i++) {
        int r = config_socket_address(socket, program, (unsigned)i, &addresses[i - from]);
        if (r < 0) {
            free(addresses);
            return r;
        }
    }
    *ret = addresses;
    return 0;
}

static struct listener_options make_options(const struct config *config,
                                            const struct config_socket *socket)
{
    return (struct listener_options){
        .backlog = socket->backlog,
        .ipv6_only = socket->ipv6_only,
        .nonblocking = config_socket_nonblocking(config, socket),
        .reuseport = socket->sharing == CONFIG_PER_WORKER,
        .mode_set = socket->mode_set,
        .mode = socket->mode,
        .owner = socket->owner,
        .group = socket->group,
        .settings = socket->options,
    };
}

static int bind_one(const struct config *config, const struct config_socket *socket,
                    struct listener **ret, char **ret_error)
{
    const struct config_program *program = config_find_user(config, socket);
    const struct listener_options options = make_options(config, socket);
    if (!config_socket_is_of_slots(socket))
        return listener_new(socket->name, &socket->address, 1, &options, ret, ret_error);
    struct address *addresses = NULL;
    int r = slot_addresses(socket, program, 0, program->workers, &addresses);
    if (r == 0)
        r = listener_new(socket->name, addresses, program->workers, &options, ret, ret_error);
    free(addresses);
    return r;
}

/* Goes on to the wishes of the next socket. */
static int bind_or_take_over(const struct config *config, const struct config_socket *socket,
                             const struct passed_wish **wishes, struct listener **ret,
                             char **ret_error)
{
    const struct listener_options options = make_options(config, socket);
    size_t n = socket->per_slot ? config_find_user(config, socket)->workers : 1;
    const struct passed_wish *own = *wishes;
    *wishes += n;
    if (take_over_any(own, n) && options.reuseport) {
        *ret_error = string_format(
            "sockets.%s: sharing: per_worker needs a socket for each slot, bound "
            "here, but this one was passed: remove it from the .socket unit",
            socket->name);
        return -EINVAL;
    }
    if (take_over_any(own, n))
        return take_over_listener(socket, &options, own, n, ret, ret_error);
    int r = bind_one(config, socket, ret, ret_error);
    if (r < 0)
        return r;
    log_info("%s: listening on %s", socket->name, socket->listen);
    if ((*ret)->n_sockets > 0 && (*ret)->sockets[0]->warning)
        log_warning("%s", (*ret)->sockets[0]->warning);
    return r;
}

int master_bind(struct master *master, char **ret_error)
{
    const struct config *config = master->config;
    master->listeners = calloc(config->n_sockets + 1, sizeof(struct listener *));
    if (!master->listeners)
        return -ENOMEM;
    CLEANUP(take_over_clear) struct take_over plan = {0};
    int r = take_over_plan(config, master->options.passed, &plan, ret_error);
    const struct passed_wish *wishes = plan.wishes;
    for (size_t i = 0; r == 0 && i < config->n_sockets; i++) {
        r = bind_or_take_over(config, config->sockets[i], &wishes, &master->listeners[i],
                              ret_error);
        if (r == 0)
            master->n_listeners = i + 1;
    }
    for (size_t i = 0; r == 0 && i < master->n_listeners; i++)
        r = listener_watch_add(master->listener_watch, master->listeners[i]);
    return r;
}

/* The socket of another configuration that is the listener's: names and order are the same (config_refuse_change). */
static size_t wanted_sockets(const struct config *config, size_t i,
                             const struct config_program **ret_program)
{
    const struct config_socket *socket = config->sockets[i];
    *ret_program = config_find_user(config, socket);
    return config_socket_is_of_slots(socket) && *ret_program ? (*ret_program)->workers : 1;
}

static int grow_one(struct master *master, const struct config *config, size_t i, char **ret_error)
{
    const struct config_program *program;
    struct listener *listener = master->listeners[i];
    size_t wanted = wanted_sockets(config, i, &program);
    if (wanted <= listener->n_sockets)
        return 0;
    struct address *addresses = NULL;
    int r = slot_addresses(config->sockets[i], program, listener->n_sockets, wanted, &addresses);
    if (r == 0)
        r = listener_add(listener, addresses, wanted - listener->n_sockets, ret_error);
    if (r == 0)
        r = listener_watch_add(master->listener_watch, listener);
    free(addresses);
    return r;
}

int master_grow_listeners(struct master *master, const struct config *config, char **ret_error)
{
    for (size_t i = 0; i < master->n_listeners; i++) {
        int r = grow_one(master, config, i, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct program *find_program(const struct master *master,
                                          const struct config_program *config)
{
    for (size_t i = 0; config && i < master->n_programs; i++)
        if (strcmp(master->programs[i]->name, config->name) == 0)
            return master->programs[i];
    return NULL;
}

void master_trim_listeners(struct master *master)
{
    const struct config_program *program;
    for (size_t i = 0; i < master->n_listeners; i++) {
        size_t wanted = wanted_sockets(master->config, i, &program);
        if (master->reload.config)
            wanted = MAX(wanted, wanted_sockets(master->reload.config, i, &program));
        if (master->reload.candidate.config)
            wanted = MAX(wanted, wanted_sockets(master->reload.candidate.config, i, &program));
        /* A socket of a slot goes when nobody is in it any more. */
        const struct program *user = find_program(master, program);
        if (config_socket_is_of_slots(master->config->sockets[i]) && user)
            wanted = MAX(wanted, user->n_slots);
        if (master->listeners[i])
            listener_truncate(master->listeners[i], wanted);
    }
}

/* Where the configuration leaves it to us, servers may do as they like. */
static void tell_of_mode(const struct worker *worker, struct listener *listener,
                         const struct config_socket *socket)
{
    if (socket->nonblocking == CONFIG_NONBLOCKING_AUTO || listener->mode_told ||
        !listener_mode_differs(listener, worker->slot))
        return;
    listener->mode_told = true;
    log_about(worker_subject(worker), LOG_LEVEL_WARNING,
              "it %s O_NONBLOCK of socket '%s' for all who share it, but sockets.%s.nonblocking is "
              "%s: a server that relies on that may hang; let the key say what its servers do",
              listener->options.nonblocking ? "cleared" : "set", listener->name, socket->name,
              listener->options.nonblocking ? "true" : "false");
}

void master_restore_listeners(const struct program *program, const struct worker *worker)
{
    /* A program that is being stopped may have outlived its listeners. */
    for (size_t i = 0; program->started && i < program_config(program)->n_sockets; i++) {
        struct listener *listener = program->committed->listeners[i];
        listener_tell(worker_subject(worker), listener, listener_restore(listener, worker->slot));
        if (worker->state == WORKER_READY)
            tell_of_mode(worker, listener, program_config(program)->sockets[i]);
    }
}

static bool is_needed(const struct master *master, const struct listener *listener)
{
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        for (size_t j = 0; program->started && j < program_config(program)->n_sockets; j++)
            if (program->committed->listeners[j] == listener)
                return true;
    }
    return false;
}

void master_close_listeners(struct master *master)
{
    for (size_t i = 0; i < master->n_listeners; i++)
        if (!is_needed(master, master->listeners[i]))
            listener_close(master->listeners[i]);
}
