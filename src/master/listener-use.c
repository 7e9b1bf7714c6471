/* What becomes of listeners while workers come and go. */
#include "master/listener-use.h"

#include "base/log.h"
#include "master/known.h"
#include "master/listener-watch.h"
#include "master/master.h"

#include <string.h>

/* A socket of a slot goes when nobody is in the slot any more. One that no release has goes with the last who has it. */
static void trim(const struct master *master, struct listener *listener)
{
    size_t wanted = release_wants(&master->release, listener);
    wanted = MAX(wanted, release_wants(&master->reload.release, listener));
    wanted = MAX(wanted, release_wants(&master->reload.candidate.release, listener));
    if (wanted == 0 || listener->n_sockets <= wanted)
        return;
    for (size_t i = 0; i < master->n_programs; i++)
        wanted = MAX(wanted, known_slots(listener, master->programs[i]));
    listener_truncate(listener, wanted);
}

void master_trim_listeners(struct master *master)
{
    for (size_t i = 0; i < master->release.config->n_sockets; i++)
        trim(master, master->release.listeners[i]);
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
    const struct generation *generation = worker->generation;
    /* A program that is being stopped may have outlived its listeners. */
    for (size_t i = 0; !program->stopping && i < generation->program->n_sockets; i++) {
        struct listener *listener = generation->listeners[i];
        listener_tell(worker_subject(worker), listener, listener_restore(listener, worker->slot));
        if (worker->state == WORKER_READY)
            tell_of_mode(worker, listener, generation->program->sockets[i]);
    }
}

static bool is_needed(const struct master *master, const struct listener *listener)
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (master->programs[i]->started && known_is_of(listener, master->programs[i]))
            return true;
    return false;
}

void master_close_listeners(struct master *master)
{
    for (size_t i = 0; i < master->release.config->n_sockets; i++)
        if (!is_needed(master, master->release.listeners[i]))
            listener_close(master->release.listeners[i]);
}
