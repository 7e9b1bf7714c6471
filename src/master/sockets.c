/*
 * A configuration's sockets become listeners: bound, or taken over when the master starts; at a reload those that are open already,
 * wherever their addresses are the same. What is opened for a reload changes nothing of what is open; changes are made when it commits.
 */
#include "master/sockets.h"

#include "base/log.h"
#include "base/strv.h"
#include "config/diff.h"
#include "master/known.h"
#include "master/listener-watch.h"
#include "master/master.h"
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

static int watch_all(struct master *master, const struct release *release)
{
    int r = 0;
    for (size_t i = 0; r == 0 && release->listeners[i]; i++)
        r = listener_watch_add(master->listener_watch, release->listeners[i]);
    return r;
}

static int allocate(const struct config *config, struct release *ret)
{
    struct listener **listeners = calloc(config->n_sockets + 1, sizeof(struct listener *));
    if (!listeners)
        return -ENOMEM;
    *ret = (struct release){.config = config_ref((struct config *)config), .listeners = listeners};
    return 0;
}

int sockets_bind(struct master *master, struct config *config, char **ret_error)
{
    CLEANUP(release_clear) struct release release = {0};
    CLEANUP(take_over_clear) struct take_over plan = {0};
    int r = allocate(config, &release);
    if (r == 0)
        r = take_over_plan(config, master->options.passed, &plan, ret_error);
    const struct passed_wish *wishes = plan.wishes;
    for (size_t i = 0; r == 0 && i < config->n_sockets; i++)
        r = bind_or_take_over(config, config->sockets[i], &wishes, &release.listeners[i],
                              ret_error);
    if (r == 0)
        r = watch_all(master, &release);
    if (r < 0)
        return r;
    release_clear(&master->release);
    master->release = release;
    release = (struct release){0};
    return 0;
}

/* At a reload */

struct opening {
    struct master *master;
    struct known known;
    struct release release; /* what was opened so far */
    bool dry;               /* nothing is bound */
};

static bool is_claimed(const struct opening *opening, const struct listener *listener)
{
    for (size_t i = 0; i < opening->release.config->n_sockets; i++)
        if (opening->release.listeners[i] == listener)
            return true;
    return false;
}

/* One that is open, not asked for by another socket of this configuration, of the same address, and a group or none. */
static struct listener *find_open(const struct opening *opening, const struct config_socket *socket,
                                  bool is_group)
{
    const struct config *config = opening->release.config;
    for (size_t i = 0; i < opening->known.n; i++) {
        const struct known_listener *known = &opening->known.list[i];
        if (known->listener->options.reuseport == is_group && known->listener->n_sockets > 0 &&
            config_same_address(known->config, known->socket, config, socket) &&
            !is_claimed(opening, known->listener))
            return known->listener;
    }
    return NULL;
}

static struct listener_socket *find_socket(const struct opening *opening,
                                           const struct address *address)
{
    struct listener_socket *found = NULL;
    for (size_t i = 0; i < opening->known.n && !found; i++)
        found = listener_find(opening->known.list[i].listener, address);
    return found;
}

/* Slots that get other numbers take their sockets with them, even if only a worker that drains has them still. */
static int open_or_share(const struct opening *opening, struct listener *listener,
                         const struct address *address, char **ret_error)
{
    struct listener_socket *open = listener->options.reuseport ? NULL
                                                               : find_socket(opening, address);
    if (open)
        return listener_share(listener, open);
    return opening->dry ? 0 : listener_add(listener, address, 1, ret_error);
}

/* More slots than it has sockets. Without all of them the listener is trimmed again. */
static int grow(const struct opening *opening, const struct config_socket *socket,
                struct listener *listener, char **ret_error)
{
    const struct config *config = opening->release.config;
    const struct config_program *user = config_find_user(config, socket);
    size_t old = listener->n_sockets,
           wanted = config_socket_is_of_slots(socket) ? user->workers : 1;
    if (opening->dry || wanted <= old)
        return 0;
    struct address *addresses = NULL;
    int r = slot_addresses(socket, user, old, wanted, &addresses);
    if (r == 0 && listener->options.reuseport)
        r = listener_add(listener, addresses, wanted - old, ret_error);
    for (size_t i = 0; r == 0 && !listener->options.reuseport && i < wanted - old; i++)
        r = open_or_share(opening, listener, &addresses[i], ret_error);
    free(addresses);
    return r;
}

static int keep(const struct opening *opening, const struct config_socket *socket,
                struct listener *listener, char **ret_error)
{
    const struct listener_options options = make_options(opening->release.config, socket);
    int r = listener_try_change(listener, &options, ret_error);
    return r < 0 ? r : grow(opening, socket, listener, ret_error);
}

static int open_new(const struct opening *opening, const struct config_socket *socket,
                    struct listener **ret, char **ret_error)
{
    const struct config *config = opening->release.config;
    const struct listener_options options = make_options(config, socket);
    const struct config_program *user = config_find_user(config, socket);
    size_t n = config_socket_is_of_slots(socket) ? user->workers : 1;
    CLEANUP(listener_unrefp) struct listener *listener = NULL;
    struct address *addresses = NULL;
    if (socket->fd >= 0) {
        *ret_error = string_format("socket '%s': listen: fd:%d: a descriptor is passed when the "
                                   "master starts: restart it with that descriptor",
                                   socket->name, socket->fd);
        return -EOPNOTSUPP;
    }
    int r = listener_new_empty(socket->name, &options, &listener);
    if (r == 0)
        r = slot_addresses(socket, user, 0, n, &addresses);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = open_or_share(opening, listener, &addresses[i], ret_error);
    free(addresses);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(listener);
    return 0;
}

/* What the kernel calls a member is counted from one group alone: a former one has to be gone. */
static bool has_other_group(const struct opening *opening, const struct listener *listener)
{
    const struct address *address = &listener->sockets[0]->address;
    for (size_t i = 0; i < opening->known.n; i++) {
        const struct listener *other = opening->known.list[i].listener;
        if (other != listener && other->options.reuseport && listener_find(other, address))
            return true;
    }
    return false;
}

/* The first socket stays what it is; the others come, or go with the workers that have them. */
static int change_sharing(const struct opening *opening, const struct config_socket *socket,
                          struct listener *listener, struct listener **ret, char **ret_error)
{
    const struct config *config = opening->release.config;
    const struct listener_options options = make_options(config, socket);
    if (listener->sockets[0]->taken_over || has_other_group(opening, listener)) {
        *ret_error = string_format(
            "sockets.%s.sharing cannot change now: %s", socket->name,
            listener->sockets[0]->taken_over
                ? "the socket was passed, and a group needs sockets that are bound here"
                : "it changed a moment ago, and workers from before are not gone yet");
        return -EOPNOTSUPP;
    }
    int r = listener_try_change(listener, &options, ret_error);
    if (r < 0)
        return r;
    if (options.reuseport && !opening->dry)
        return listener_regroup(socket->name, listener->sockets[0],
                                config_find_user(config, socket)->workers, &options, ret,
                                ret_error);
    CLEANUP(listener_unrefp) struct listener *shared = NULL;
    r = listener_new_empty(socket->name, &options, &shared);
    if (r == 0 && !opening->dry)
        r = listener_share(shared, listener->sockets[0]);
    if (r == 0)
        *ret = TAKE_PTR(shared);
    return r;
}

static int open_one(struct opening *opening, size_t i, char **ret_error)
{
    const struct config_socket *socket = opening->release.config->sockets[i];
    struct listener **ret = &opening->release.listeners[i];
    bool is_group = socket->sharing == CONFIG_PER_WORKER;
    struct listener *same = find_open(opening, socket, is_group);
    if (same) {
        int r = keep(opening, socket, same, ret_error);
        if (r == 0)
            *ret = listener_ref(same);
        return r;
    }
    struct listener *other = find_open(opening, socket, !is_group);
    return other ? change_sharing(opening, socket, other, ret, ret_error)
                 : open_new(opening, socket, ret, ret_error);
}

static void opening_clear(struct opening *opening)
{
    known_clear(&opening->known);
    release_clear(&opening->release);
}

int sockets_open(struct master *master, const struct config *config, bool dry, struct release *ret,
                 char **ret_error)
{
    CLEANUP(opening_clear) struct opening opening = {.master = master, .dry = dry};
    int r = allocate(config, &opening.release);
    if (r == 0)
        r = known_collect(master, &opening.known);
    for (size_t i = 0; r == 0 && i < config->n_sockets; i++)
        r = open_one(&opening, i, ret_error);
    if (r == 0)
        r = watch_all(master, &opening.release);
    if (r < 0)
        return r;
    *ret = opening.release;
    opening.release = (struct release){0};
    return 0;
}

static bool has(const struct release *release, const struct listener *listener)
{
    for (size_t i = 0; release->listeners[i]; i++)
        if (release->listeners[i] == listener)
            return true;
    return false;
}

static void publish(struct master *master, const struct listener *listener, const char *state)
{
    for (size_t i = 0; i < listener->n_sockets && event_bus_is_heard(&master->events); i++) {
        CLEANUP_FREE char *text = address_to_text(&listener->sockets[i]->address);
        event_bus_publish(&master->events, EVENT_SOCKET,
                          json_pack("{s:s, s:s, s:s*, s:I}", "state", state, "name", listener->name,
                                    "address", text, "inode",
                                    (json_int_t)listener->sockets[i]->inode));
    }
}

/*
 * Workers that wait for several things at once rely on O_NONBLOCK, be it ours or their own doing: one that finds it gone hangs in accept().
 * Only who says `nonblocking: false` gets that.
 */
static bool keeps_nonblocking(const struct listener *listener, const struct config_socket *socket)
{
    return socket->nonblocking == CONFIG_NONBLOCKING_AUTO && listener->options.nonblocking;
}

static void change(struct listener *listener, const struct config *config,
                   const struct config_socket *socket)
{
    struct listener_options options = make_options(config, socket);
    options.nonblocking = options.nonblocking || keeps_nonblocking(listener, socket);
    CLEANUP_FREE char *warning = NULL, *error = NULL;
    int r = listener_change(listener, socket->name, &options, &warning, &error);
    if (r < 0)
        log_error("socket '%s' could not be changed as it should be: %s", socket->name,
                  error ? error : strerror(-r));
    if (warning)
        log_warning("%s", warning);
}

void sockets_commit(struct master *master, struct release *release)
{
    struct release old = master->release;
    const struct config *config = release->config;
    for (size_t i = 0; i < config->n_sockets; i++) {
        struct listener *listener = release->listeners[i];
        change(listener, config, config->sockets[i]);
        if (has(&old, listener))
            continue;
        log_info("%s: listening on %s", listener->name, config->sockets[i]->listen);
        publish(master, listener, "listening");
    }
    for (size_t i = 0; old.listeners[i]; i++) {
        if (has(release, old.listeners[i]))
            continue;
        log_info("%s: not listened to any more, it closes with the last worker that has it",
                 old.listeners[i]->name);
        publish(master, old.listeners[i], "removed");
    }
    master->release = (struct release){.config = TAKE_PTR(release->config),
                                       .listeners = TAKE_PTR(release->listeners)};
    release_clear(&old);
}

int sockets_hand(const struct release *release, const struct config_program *program,
                 struct generation *generation)
{
    if (program->n_sockets != generation->program->n_sockets)
        return -EINVAL;
    struct listener **found = calloc(program->n_sockets + 1, sizeof(struct listener *));
    if (!found)
        return -ENOMEM;
    for (size_t i = 0; i < program->n_sockets; i++)
        found[i] = release_listener(release, program->sockets[i]);
    int r = generation_hand(generation, found);
    free(found);
    return r;
}
