/*
 * A program's life and its part in a reload, as the master asks for them. What workers do is in events.c, what follows from
 * it in converge.c.
 */
#include "program/internal.h"

#include "base/log.h"
#include "program/settle.h"

#include <errno.h>
#include <string.h>

void program_mark(struct program *program)
{
    program->params.ops->changed(program, program->params.userdata);
}

/* What empty places are filled with in this phase. */
struct generation *program_wanted_generation(const struct program *program)
{
    return program->phase == ROLLOUT_ROLLING ? program->target : program->committed;
}

unsigned program_wanted(const struct program *program)
{
    return program->started ? program_wanted_generation(program)->program->workers : 0;
}

unsigned program_max_workers(const struct program *program)
{
    unsigned workers = program_wanted(program);
    if (!program->started || !program->target)
        return workers;
    return MAX(program->committed->program->workers, program->target->program->workers);
}

static int grow_slots(struct program *program, size_t n)
{
    if (n <= program->n_slots)
        return 0;
    struct slot **slots = reallocarray(program->slots, n, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    program->slots = slots;
    while (program->n_slots < n) {
        int r = slot_new(program, (unsigned)program->n_slots, &slots[program->n_slots]);
        if (r < 0)
            return r;
        program->n_slots++;
    }
    return 0;
}

/* The reload, from above */

static void reset_reload(struct program *program)
{
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    program->waiting = program->canary_proven = program->done = false;
    program->rolled_back = program->degraded = program->failed = false;
    program->crashes = 0;
}

int program_begin(struct program *program, struct generation *target)
{
    int r = grow_slots(program,
                       MAX(target->program->workers, program->committed->program->workers));
    if (r < 0)
        return r;
    reset_reload(program);
    program->failure = (free(program->failure), NULL);
    for (size_t i = 0; i < program->n_slots; i++)
        program->slots[i]->failure = (free(program->slots[i]->failure), NULL);
    (void)generation_unref(program->target);
    program->target = generation_ref(target);
    program->takes_part = true;
    program->last_generation = MAX(program->last_generation, target->number);
    program->phase = ROLLOUT_IDLE;
    if (!program->started)
        return 0;
    program->waiting = !target->program->reload.canary;
    program->phase = program->waiting ? ROLLOUT_IDLE : ROLLOUT_CANARY;
    program->canary_proven = program->waiting;
    program_mark(program);
    return 0;
}

void program_release(struct program *program)
{
    program->waiting = false;
    program->failed = false;
    program->phase = ROLLOUT_ROLLING;
    program_mark(program);
}

/* Its workers have the new name already; without memory the old one stays on show. */
static void take_name(struct program *program, const char *name)
{
    char *copy = strcmp(program->name, name) == 0 ? NULL : strdup(name);
    if (!copy)
        return;
    log_about(program_subject(program), LOG_LEVEL_INFO, "is called '%s' now", name);
    free(program->name);
    program->name = copy;
}

void program_commit(struct program *program)
{
    (void)generation_unref(program->committed);
    program->committed = TAKE_PTR(program->target);
    take_name(program, program->committed->program->name);
    program->phase = ROLLOUT_IDLE;
    reset_reload(program);
    program->takes_part = program->is_new = false;
    program_mark(program);
}

void program_roll_back(struct program *program)
{
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    program->waiting = program->canary_proven = program->done = false;
    program->failed = false;
    program->phase = ROLLOUT_ROLLING_BACK;
    program_mark(program);
}

void program_forget_target(struct program *program)
{
    program->target = generation_unref(program->target);
    program->takes_part = false;
    program_mark(program);
}

void program_start(struct program *program)
{
    program->started = true;
    if (grow_slots(program, program->committed->program->workers) < 0)
        log_about(program_subject(program), LOG_LEVEL_ERROR, "out of memory for its slots");
    program_mark(program);
}

static void stop_now(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++) {
        struct slot *slot = program->slots[i];
        if (slot->current)
            worker_stop(slot->current, "forced shutdown");
        if (slot->successor)
            worker_stop(slot->successor, "forced shutdown");
        LIST_FOREACH (worker, &slot->leaving, struct worker, link)
            worker_stop(worker, "forced shutdown");
    }
}

void program_stop(struct program *program, bool force)
{
    program->started = false;
    program->stopping = true;
    program->forced = program->forced || force;
    program->phase = ROLLOUT_IDLE;
    reset_reload(program);
    program->takes_part = false;
    program->target = generation_unref(program->target);
    if (force)
        stop_now(program);
    program_mark(program);
}

void program_remove(struct program *program)
{
    program->removed = true;
    program->is_new = program->is_unnamed = false;
    program_stop(program, false);
}

bool program_is_empty(const struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++) {
        const struct slot *slot = program->slots[i];
        if (slot->current || slot->successor)
            return false;
        LIST_FOREACH (worker, &slot->leaving, struct worker, link)
            if (!worker->given_up)
                return false;
    }
    return true;
}

unsigned program_count_ready(const struct program *program)
{
    unsigned n = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        n += slot_get_state(program->slots[i]) == SLOT_READY;
    return n;
}

int program_new(const struct program_params *params, struct program **ret)
{
    CLEANUP(program_freep) struct program *program = calloc(1, sizeof(*program));
    if (!program)
        return -ENOMEM;
    program->params = *params;
    program->committed = generation_ref(params->generation);
    program->last_generation = params->generation->number;
    program->name = strdup(params->generation->program->name);
    if (!program->name)
        return -ENOMEM;
    int r = sd_event_add_time(params->event, &program->probation_timer, CLOCK_MONOTONIC, 0,
                              USEC_PER_MSEC, program_on_probation_over, program);
    if (r >= 0)
        r = sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(program->probation_timer, "probation");
    r = program_add_settle_timer(program);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(program);
    return 0;
}

struct program *program_free(struct program *program)
{
    if (!program)
        return NULL;
    for (size_t i = 0; i < program->n_slots; i++)
        (void)slot_free(program->slots[i]);
    free(program->slots);
    (void)sd_event_source_disable_unref(program->probation_timer);
    (void)sd_event_source_disable_unref(program->settle_timer);
    (void)generation_unref(program->target);
    (void)generation_unref(program->committed);
    free(program->failure);
    free(program->start_failure);
    free(program->name);
    free(program);
    return NULL;
}
