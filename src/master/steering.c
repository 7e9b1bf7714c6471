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

static void steer(const struct program *program, struct listener *listener)
{
    bool alive[CONFIG_WORKERS_MAX] = {false};
    size_t wanted = program_wanted(program);
    for (size_t i = 0; i < listener->n_sockets && i < program->n_slots && i < wanted; i++)
        alive[i] = serves(program->slots[i]->current, listener) ||
                   serves(program->slots[i]->successor, listener);
    int r = listener_steer(listener, alive);
    if (r < 0 && !listener->steering_failed)
        log_about(
            program_subject(program), LOG_LEVEL_WARNING,
            "clients of socket '%s' cannot be steered around workers that are not ready: %s%s",
            listener->name, strerror(-r), r == -ENOMEM ? " (raise net.core.optmem_max)" : "");
    listener->steering_failed = r < 0;
}

static void steer_generation(const struct program *program, const struct generation *generation)
{
    for (size_t i = 0; generation && i < generation->program->n_sockets; i++)
        if (generation->listeners[i]->options.reuseport)
            steer(program, generation->listeners[i]);
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
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!program->started)
            continue;
        steer_generation(program, program->committed);
        steer_generation(program, program->target);
        trim = trim || has_too_many(program);
    }
    if (trim)
        master_trim_listeners(master);
}

bool master_slot_queue(const struct program *program, unsigned slot, unsigned *ret_waiting)
{
    const struct worker *worker = program->slots[slot]->current;
    bool any = false;
    *ret_waiting = 0;
    for (size_t i = 0; worker && i < worker->generation->program->n_sockets; i++) {
        const struct listener *listener = worker->generation->listeners[i];
        unsigned queue, backlog;
        if (!listener->options.reuseport || slot >= listener->n_sockets)
            continue;
        any = true;
        if (listener_queue(listener->sockets[slot], &queue, &backlog) == 0)
            *ret_waiting += queue;
    }
    return any;
}
