/*
 * A program's life and its part in a reload, as the master asks for them. What workers do is in events.c, what follows from
 * it in converge.c.
 */
#include "program/internal.h"

#include "base/log.h"
#include "program/recycle.h"
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

unsigned program_expected(const struct program *program)
{
    unsigned expected = program_wanted(program);
    for (size_t i = 0; i < program->n_slots && i < program_wanted(program); i++) {
        const struct slot *slot = program->slots[i];
        expected -= slot_is_over(slot) && !slot->current && (slot->held || !slot->fatal);
    }
    return expected;
}

unsigned program_max_workers(const struct program *program)
{
    unsigned workers = program_wanted(program);
    if (!(program->started || program->resumes) || !program->target)
        return workers;
    return MAX(program->committed->program->workers, program->target->program->workers);
}

int program_grow_slots(struct program *program, size_t n)
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

void program_forget_slot_failures(struct program *program)
{
    for (size_t i = 0; i < program->n_slot_failures; i++)
        free(program->slot_failures[i].reason);
    free(program->slot_failures);
    program->slot_failures = NULL;
    program->n_slot_failures = 0;
}

/* What is told from here on is told together. */
static void begin_spread(struct program *program)
{
    program->drain_began_usec = 0;
    program->spread_offset = program_random();
}

void program_leave_rollout(struct program *program)
{
    program->phase = ROLLOUT_IDLE;
    reset_reload(program);
}

/* As rollout_next() has it: with sockets of their own only slots that are there already; of a new program, the first one. */
static bool has_place_for_canary(const struct program *program)
{
    unsigned there = program->committed->program->workers,
             slots = program->target->program->workers;
    if (program_has_own_sockets(program->target->program))
        slots = MIN(slots, there);
    for (size_t i = 0; i < slots; i++)
        if (!slot_is_closed(program->slots[i]))
            return true;
    return slots == 0;
}

void program_look_for_canary(struct program *program)
{
    if (program->phase != ROLLOUT_CANARY || has_place_for_canary(program))
        return;
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    program->canary_proven = true;
}

int program_begin(struct program *program, struct generation *target)
{
    int r = program_grow_slots(program,
                               MAX(target->program->workers, program->committed->program->workers));
    if (r < 0)
        return r;
    reset_reload(program);
    begin_spread(program);
    program->failure = (free(program->failure), NULL);
    program_forget_slot_failures(program);
    program_forget_fatal(program);
    (void)generation_unref(program->target);
    program->target = generation_ref(target);
    program->takes_part = true;
    program->last_generation = MAX(program->last_generation, target->number);
    program->phase = ROLLOUT_IDLE;
    if (!program->started)
        return 0;
    program->waiting = !target->program->reload.canary || !has_place_for_canary(program);
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

void program_begin_adoption(struct program *program, struct generation *generation)
{
    program_forget_fatal(program);
    (void)generation_unref(program->adopted);
    program->adopted = generation_ref(generation);
    program->last_generation = MAX(program->last_generation, generation->number);
    if (program->started && program_grow_slots(program, generation->program->workers) < 0)
        log_about(program_subject(program), LOG_LEVEL_ERROR, "out of memory for its slots");
}

bool program_can_adopt(const struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++) {
        const struct slot *slot = program->slots[i];
        if (slot->successor || !slot->current || slot->current->state != WORKER_READY ||
            !slot->current->understands)
            return false;
    }
    return program->started;
}

/* One that cannot be told, or came up meanwhile and knows nothing of it, is replaced. */
static void adopt(struct program *program, struct worker *worker)
{
    CLEANUP_FREE char *error = NULL;
    if (!worker)
        return;
    if (worker->generation->program->n_sockets == program->committed->program->n_sockets) {
        worker_become(worker, program->committed);
        return;
    }
    if (worker->understands && worker_adopt(worker, program->committed, &error) == 0) {
        log_about(worker_subject(worker), LOG_LEVEL_INFO, "was handed the added sockets");
        return;
    }
    if (error)
        log_about(worker_subject(worker), LOG_LEVEL_WARNING, "%s; replacing it", error);
    worker_drain(worker, "added sockets", NULL);
}

static void commit_adoption(struct program *program)
{
    (void)generation_unref(program->committed);
    program->committed = TAKE_PTR(program->adopted);
    for (size_t i = 0; i < program->n_slots; i++) {
        adopt(program, program->slots[i]->current);
        adopt(program, program->slots[i]->successor);
    }
    program_mark(program);
}

void program_commit(struct program *program)
{
    if (program->adopted) {
        commit_adoption(program);
        return;
    }
    (void)generation_unref(program->committed);
    program->committed = TAKE_PTR(program->target);
    take_name(program, program->committed->program->name);
    program_commit_fatal(program);
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
    program_roll_back_fatal(program);
    for (size_t i = 0; i < program->n_slots; i++)
        program->slots[i]->shortages = 0;
    begin_spread(program);
    program->phase = ROLLOUT_ROLLING_BACK;
    program_mark(program);
}

void program_forget_target(struct program *program)
{
    program->target = generation_unref(program->target);
    program->adopted = generation_unref(program->adopted);
    program->takes_part = false;
}

void program_start(struct program *program)
{
    program->started = true;
    program->resumes = false;
    if (program_grow_slots(program, program->committed->program->workers) < 0)
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

static void end_spread(struct program *program)
{
    program->ends_at_once = true;
    for (size_t i = 0; i < program->n_slots; i++)
        LIST_FOREACH (worker, &program->slots[i]->leaving, struct worker, link)
            worker_end_spread(worker);
}

static void want_nobody(struct program *program)
{
    program->started = false;
    program->stopping = true;
    program->phase = ROLLOUT_IDLE;
    reset_reload(program);
    program->takes_part = false;
    program->adopted = generation_unref(program->adopted);
    program->target = generation_unref(program->target);
    program_mark(program);
}

void program_stop(struct program *program, bool force)
{
    program->forced = program->forced || force;
    want_nobody(program);
    end_spread(program);
    if (force)
        stop_now(program);
}

void program_remove(struct program *program)
{
    program->removed = true;
    program->is_new = program->is_unnamed = false;
    begin_spread(program);
    want_nobody(program);
}

bool program_is_empty(const struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        if (!slot_is_vacant(program->slots[i]))
            return false;
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
    if (r == 0)
        r = program_add_recycle_timer(program);
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
    (void)sd_event_source_disable_unref(program->recycle_timer);
    (void)sd_event_source_disable_unref(program->heal_timer);
    (void)generation_unref(program->target);
    (void)generation_unref(program->adopted);
    (void)generation_unref(program->committed);
    free(program->failure);
    free(program->fatal_failure);
    program_forget_slot_failures(program);
    free(program->start_failure);
    free(program->restarts);
    free(program->name);
    free(program);
    return NULL;
}
