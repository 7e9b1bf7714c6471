/* Clients of a program with a socket for each slot go where somebody is ready. */
#include "master/master.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

static bool has_ready_worker(const struct slot *slot)
{
    return (slot->current && slot->current->state == WORKER_READY) ||
           (slot->successor && slot->successor->state == WORKER_READY);
}

static void steer(const struct program *program, struct listener *listener)
{
    bool alive[CONFIG_WORKERS_MAX] = {false};
    size_t wanted = program_wanted(program);
    for (size_t i = 0; i < listener->n_sockets && i < program->n_slots && i < wanted; i++)
        alive[i] = has_ready_worker(program->slots[i]);
    int r = listener_steer(listener, alive);
    if (r < 0 && !listener->steering_failed)
        log_about(
            program_subject(program), LOG_LEVEL_WARNING,
            "clients of socket '%s' cannot be steered around workers that are not ready: %s%s",
            listener->name, strerror(-r), r == -ENOMEM ? " (raise net.core.optmem_max)" : "");
    listener->steering_failed = r < 0;
}

void master_steer(struct master *master)
{
    bool trim = false;
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        for (size_t j = 0; program->started && j < program_config(program)->n_sockets; j++) {
            struct listener *listener = program->committed->listeners[j];
            if (listener->options.reuseport)
                steer(program, listener);
            /* Sockets of slots that are gone wait for nobody any more. */
            trim = trim || (listener->n_sockets > 1 && listener->n_sockets > program->n_slots);
        }
    }
    if (trim)
        master_trim_listeners(master);
}

bool master_slot_queue(const struct program *program, unsigned slot, unsigned *ret_waiting)
{
    bool any = false;
    *ret_waiting = 0;
    for (size_t i = 0; i < program_config(program)->n_sockets; i++) {
        const struct listener *listener = program->committed->listeners[i];
        unsigned queue, backlog;
        if (!listener->options.reuseport || slot >= listener->n_sockets)
            continue;
        any = true;
        if (listener_queue(listener->sockets[slot], &queue, &backlog) == 0)
            *ret_waiting += queue;
    }
    return any;
}
