#include "master/known.h"

#include "master/master.h"

#include <errno.h>
#include <stdlib.h>

void known_clear(struct known *known)
{
    free(known->list);
    *known = (struct known){0};
}

static bool has(const struct known *known, const struct listener *listener)
{
    for (size_t i = 0; i < known->n; i++)
        if (known->list[i].listener == listener)
            return true;
    return false;
}

static int add(struct known *known, struct listener *listener, const struct config *config,
               const struct config_socket *socket)
{
    if (has(known, listener))
        return 0;
    struct known_listener *larger = reallocarray(known->list, known->n + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    known->list = larger;
    larger[known->n++] = (struct known_listener){listener, config, socket};
    return 0;
}

static int add_release(struct known *known, const struct release *release)
{
    int r = 0;
    for (size_t i = 0; r == 0 && release->listeners && release->listeners[i]; i++)
        r = add(known, release->listeners[i], release->config, release->config->sockets[i]);
    return r;
}

static int add_generation(struct known *known, const struct generation *generation)
{
    int r = 0;
    for (size_t i = 0; r == 0 && generation && generation->listeners && generation->listeners[i];
         i++)
        r = add(known, generation->listeners[i], generation->config,
                generation->program->sockets[i]);
    return r;
}

static int add_worker(struct known *known, const struct program *program,
                      const struct worker *worker)
{
    /* Most are, and these were added. */
    bool is_added = !worker || worker->generation == program->committed ||
                    worker->generation == program->target;
    return is_added ? 0 : add_generation(known, worker->generation);
}

static int add_slot(struct known *known, const struct slot *slot)
{
    int r = add_worker(known, slot->program, slot->current);
    if (r == 0)
        r = add_worker(known, slot->program, slot->successor);
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        if (r == 0)
            r = add_worker(known, slot->program, worker);
    return r;
}

static int add_program(struct known *known, const struct program *program)
{
    int r = add_generation(known, program->committed);
    if (r == 0)
        r = add_generation(known, program->target);
    for (size_t i = 0; r == 0 && i < program->n_slots; i++)
        r = add_slot(known, program->slots[i]);
    return r;
}

int known_collect(const struct master *master, struct known *ret)
{
    CLEANUP_KNOWN struct known known = {0};
    int r = add_release(&known, &master->release);
    if (r == 0)
        r = add_release(&known, &master->reload.release);
    if (r == 0)
        r = add_release(&known, &master->reload.candidate.release);
    for (size_t i = 0; r == 0 && i < master->n_programs; i++)
        r = add_program(&known, master->programs[i]);
    if (r < 0)
        return r;
    *ret = known;
    known = (struct known){0};
    return 0;
}

static bool is_in(const struct generation *generation, const struct listener *listener)
{
    for (size_t i = 0; generation && generation->listeners && generation->listeners[i]; i++)
        if (generation->listeners[i] == listener)
            return true;
    return false;
}

bool known_is_of(const struct listener *listener, const struct program *program)
{
    return is_in(program->committed, listener) || is_in(program->target, listener);
}

static bool is_given_in(const struct slot *slot, const struct listener *listener)
{
    if ((slot->current && is_in(slot->current->generation, listener)) ||
        (slot->successor && is_in(slot->successor->generation, listener)))
        return true;
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        if (is_in(worker->generation, listener))
            return true;
    return false;
}

size_t known_slots(const struct listener *listener, const struct program *program)
{
    size_t n = program->n_slots;
    if (program->started && known_is_of(listener, program))
        return n;
    while (n > 0 && !is_given_in(program->slots[n - 1], listener))
        n--;
    return n;
}
