/* Clients of a program with a socket for each slot go where somebody is ready. */
#include "master/master.h"

#include "base/log.h"
#include "master/known.h"
#include "master/listener-use.h"

#include <errno.h>
#include <string.h>

/* The number of the listener's socket that a ready worker accepts from, be it of this listener or of one that shares it; -1: none. */
static ssize_t find_served(const struct worker *worker, const struct listener *listener)
{
    if (!worker || worker->state != WORKER_READY)
        return -1;
    for (size_t i = 0; i < worker->generation->program->n_sockets; i++) {
        const struct listener *own = worker->generation->listeners[i];
        size_t number = own->n_sockets == 1 ? 0 : worker->slot;
        size_t there = own == listener ? number : 0;
        if (number < own->n_sockets && there < listener->n_sockets &&
            own->sockets[number] == listener->sockets[there])
            return (ssize_t)there;
    }
    return -1;
}

/* Clients come to a successor's socket when it is alone there, so that one that has to go again leaves nobody waiting. */
static void steer_slot(const struct slot *slot, const struct listener *listener, bool *alive)
{
    ssize_t current = find_served(slot->current, listener),
            successor = find_served(slot->successor, listener);
    bool is_replaced = slot->current && slot->current->state == WORKER_READY;
    if (current >= 0 && (current == 0 || slot->settling_usec == 0))
        alive[current] = true;
    if (successor >= 0 && (!is_replaced || successor == current))
        alive[successor] = true;
}

static void find_alive(const struct program *program, const struct listener *listener, bool *alive)
{
    size_t wanted = program_wanted(program);
    for (size_t i = 0; i < program->n_slots && i < wanted; i++)
        steer_slot(program->slots[i], listener, alive);
}

static struct log_subject subject_of(const struct master *master, const struct listener *listener)
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (known_is_of(listener, master->programs[i]))
            return program_subject(master->programs[i]);
    return (struct log_subject){0};
}

/*
 * A slot that the reload adds gets clients when it commits: until then it may go again, and whoever waits in its socket, because its worker is ready
 * but never accepts, goes with it. Unless there is nobody else.
 */
static void spare_added(const struct master *master, const struct listener *listener, bool *alive)
{
    if (master->reload.state == RELOAD_NONE)
        return;
    size_t n = listener->n_sockets, kept = release_wants(&master->release, listener);
    if (kept > 0 && kept < n && memchr(alive, true, kept))
        memset(alive + kept, false, n - kept);
}

/*
 * While its sockets go from one program to another, both may serve them. Where nobody does, clients wait for those who will in any
 * case: what a reload has added for itself may be closed again.
 */
static void steer(const struct master *master, struct listener *listener)
{
    bool alive[CONFIG_WORKERS_MAX] = {false};
    for (size_t i = 0; i < master->n_programs; i++)
        find_alive(master->programs[i], listener, alive);
    spare_added(master, listener, alive);
    bool any = memchr(alive, true, listener->n_sockets) != NULL;
    for (size_t i = 0; i < listener->n_sockets && !any; i++)
        alive[i] = release_keeps(&master->release, listener->sockets[i]);
    int r = listener_steer(listener, alive);
    if (r < 0 && !listener->steering_failed)
        log_about(
            subject_of(master, listener), LOG_LEVEL_WARNING,
            "clients of socket '%s' cannot be steered around workers that are not ready: %s%s",
            listener->name, strerror(-r), r == -ENOMEM ? " (raise net.core.optmem_max)" : "");
    listener->steering_failed = r < 0;
}

/* Those, too, that only workers of a superseded reload have still: these are about to leave. */
static void steer_all(const struct master *master)
{
    CLEANUP_KNOWN struct known known = {0};
    if (known_collect(master, &known) < 0)
        return;
    for (size_t i = 0; i < known.n; i++)
        if (known.list[i].listener->options.reuseport)
            steer(master, known.list[i].listener);
}

/* Sockets of slots that are gone wait for nobody any more. A program that is not started has no slots; its sockets wait for it. */
static bool has_too_many(const struct program *program)
{
    size_t needed = MAX(program->n_slots, (size_t)program_config(program)->workers);
    for (size_t i = 0; i < program_config(program)->n_sockets; i++) {
        size_t n = program->committed->listeners[i]->n_sockets;
        if (n > 1 && n > needed)
            return true;
    }
    return false;
}

void master_steer(struct master *master)
{
    bool trim = false;
    steer_all(master);
    for (size_t i = 0; i < master->n_programs; i++)
        trim = trim || has_too_many(master->programs[i]);
    if (trim)
        master_trim_listeners(master);
}

/* Whoever has the socket of this slot from now on serves those that wait; or nobody listens at its address any more. */
static bool is_taken_over(const struct master *master, const struct program *program,
                          const struct listener *listener, unsigned slot)
{
    return program->removed && (release_keeps(&master->release, listener->sockets[slot]) ||
                                !release_keeps(&master->release, listener->sockets[0]));
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
