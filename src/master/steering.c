/* Clients of a program with a socket for each slot go where somebody is ready. */
#include "master/master.h"

#include "base/log.h"
#include "master/known.h"
#include "master/listener-use.h"

#include <errno.h>
#include <string.h>

static bool is_given(const struct worker *worker, const struct listener *listener)
{
    for (size_t i = 0; i < worker->generation->program->n_sockets; i++)
        if (worker->generation->listeners[i] == listener)
            return true;
    return false;
}

static bool serves(const struct worker *worker, const struct listener *listener)
{
    return worker && worker->state == WORKER_READY && is_given(worker, listener);
}

/* False: it does not have the listener. */
static bool mark_alive(const struct program *program, const struct listener *listener, bool *alive)
{
    size_t wanted = program_wanted(program);
    if (!program->started || !known_is_of(listener, program))
        return false;
    for (size_t i = 0; i < listener->n_sockets && i < program->n_slots && i < wanted; i++)
        alive[i] = alive[i] || serves(program->slots[i]->current, listener) ||
                   serves(program->slots[i]->successor, listener);
    return true;
}

/*
 * While a socket moves from one program to another, both of them serve. Where nobody does, clients wait for those who will in any
 * case: what a reload has added for itself may be closed again.
 */
static void steer(struct master *master, struct listener *listener)
{
    bool alive[CONFIG_WORKERS_MAX] = {false};
    const struct program *user = NULL;
    if (!listener->options.reuseport)
        return;
    for (size_t i = 0; i < master->n_programs; i++)
        if (mark_alive(master->programs[i], listener, alive))
            user = master->programs[i];
    if (!user)
        return;
    if (!memchr(alive, true, listener->n_sockets))
        memset(alive, true, MIN(listener->n_sockets, release_wants(&master->release, listener)));
    int r = listener_steer(listener, alive);
    if (r < 0 && !listener->steering_failed)
        log_about(
            program_subject(user), LOG_LEVEL_WARNING,
            "clients of socket '%s' cannot be steered around workers that are not ready: %s%s",
            listener->name, strerror(-r), r == -ENOMEM ? " (raise net.core.optmem_max)" : "");
    listener->steering_failed = r < 0;
}

static void steer_release(struct master *master, const struct release *release)
{
    for (size_t i = 0; release->listeners && release->listeners[i]; i++)
        steer(master, release->listeners[i]);
}

/* Sockets of slots that are gone wait for nobody any more. */
static bool has_too_many(const struct program *program)
{
    for (size_t i = 0; i < program_config(program)->n_sockets; i++) {
        size_t n = program->committed->listeners[i]->n_sockets;
        if (n > 1 && n > program->n_slots)
            return true;
    }
    return false;
}

void master_steer(struct master *master)
{
    bool trim = false;
    steer_release(master, &master->release);
    steer_release(master, &master->reload.release);
    for (size_t i = 0; i < master->n_programs && !trim; i++)
        trim = has_too_many(master->programs[i]);
    if (trim)
        master_trim_listeners(master);
}

/* The socket of this slot is that of another program's slot from now on: whoever is there serves those that wait. */
static bool is_taken_over(const struct master *master, const struct program *program,
                          const struct listener *listener, unsigned slot)
{
    size_t wanted = release_wants(&master->release, listener);
    return program->removed && (wanted == 0 || slot < wanted);
}

bool master_slot_queue(const struct master *master, const struct program *program, unsigned slot,
                       unsigned *ret_waiting)
{
    const struct worker *worker = program->slots[slot]->current;
    bool any = false;
    *ret_waiting = 0;
    for (size_t i = 0; worker && i < worker->generation->program->n_sockets; i++) {
        const struct listener *listener = worker->generation->listeners[i];
        unsigned queue, backlog;
        if (!listener->options.reuseport || slot >= listener->n_sockets ||
            is_taken_over(master, program, listener, slot))
            continue;
        any = true;
        if (listener_queue(listener->sockets[slot], &queue, &backlog) == 0)
            *ret_waiting += queue;
    }
    return any;
}
