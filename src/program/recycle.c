#include "program/recycle.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "process/usage.h"
#include "program/internal.h"

#include <inttypes.h>

/* The timer may be late by that much, so that idle machines wake up less. */
#define SLACK_USEC USEC_PER_SEC

uint64_t recycle_due(uint64_t started_usec, uint64_t max_age_usec, double jitter, double random)
{
    double factor = 1 + jitter * (2 * random - 1);
    return started_usec + (uint64_t)((double)max_age_usec * factor);
}

static bool is_candidate(const struct slot *slot)
{
    return slot->current && slot->current->state == WORKER_READY && !slot->current->worn;
}

static uint64_t due_of(struct slot *slot, const struct config_recycle *recycle)
{
    const struct worker *worker = slot->current;
    if (slot->aged_id != worker->id) {
        slot->aged_id = worker->id;
        slot->age_random = program_random();
    }
    return recycle_due(worker->started_usec, recycle->max_age_usec, recycle->jitter,
                       slot->age_random);
}

static void look_at_age(struct slot *slot, const struct config_recycle *recycle, uint64_t now)
{
    char age[DURATION_TEXT_SIZE], limit[DURATION_TEXT_SIZE];
    if (recycle->max_age_usec == 0 || due_of(slot, recycle) > now)
        return;
    log_about(worker_subject(slot->current), LOG_LEVEL_INFO,
              "has run for %s (max_age is %s): replacing it",
              duration_to_text(now - slot->current->started_usec, age),
              duration_to_text(recycle->max_age_usec, limit));
    slot_wear(slot, "max_age");
}

static void look_at_memory(struct slot *slot, const struct config_recycle *recycle)
{
    uint64_t memory;
    if (recycle->max_memory == 0 || !is_candidate(slot) ||
        process_memory(slot->current->pid, &memory) < 0 || memory <= recycle->max_memory)
        return;
    log_about(worker_subject(slot->current), LOG_LEVEL_WARNING,
              "has %" PRIu64 " MB of memory, and max_memory is %" PRIu64 " MB: replacing it",
              memory >> 20, recycle->max_memory >> 20);
    slot_wear(slot, "max_memory");
}

/* While a reload runs it only waits: most of them go anyway. */
static void look(struct program *program)
{
    const struct config_recycle *recycle = &program_config(program)->recycle;
    uint64_t now = clock_monotonic_usec();
    for (size_t i = 0; program->phase == ROLLOUT_IDLE && i < program->n_slots; i++) {
        struct slot *slot = program->slots[i];
        if (!is_candidate(slot))
            continue;
        look_at_age(slot, recycle, now);
        look_at_memory(slot, recycle);
    }
}

/* UINT64_MAX: never. */
static uint64_t next_look(const struct program *program, uint64_t now)
{
    const struct config_recycle *recycle = &program_config(program)->recycle;
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < program->n_slots; i++) {
        struct slot *slot = program->slots[i];
        if (!is_candidate(slot))
            continue;
        if (recycle->max_memory > 0)
            next = MIN(next, now + RECYCLE_LOOK_USEC);
        if (recycle->max_age_usec > 0)
            next = MIN(next, MAX(due_of(slot, recycle), now + USEC_PER_SEC));
    }
    return next;
}

static void arm(struct program *program)
{
    uint64_t next = next_look(program, clock_monotonic_usec());
    if (next == UINT64_MAX || (program->recycle_usec > 0 && program->recycle_usec <= next))
        return;
    program->recycle_usec = next;
    (void)sd_event_source_set_time(program->recycle_timer, next);
    (void)sd_event_source_set_enabled(program->recycle_timer, SD_EVENT_ONESHOT);
}

static int on_look(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct program *program = userdata;
    program->recycle_usec = 0;
    look(program);
    arm(program);
    return 0;
}

int program_add_recycle_timer(struct program *program)
{
    int r = sd_event_add_time(program->params.event, &program->recycle_timer, CLOCK_MONOTONIC, 0,
                              SLACK_USEC, on_look, program);
    if (r >= 0)
        r = sd_event_source_set_enabled(program->recycle_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(program->recycle_timer, "recycle");
    return 0;
}

void program_recycle(struct program *program)
{
    const struct config_recycle *recycle = &program_config(program)->recycle;
    if (recycle->max_memory == 0 && recycle->max_age_usec == 0)
        return;
    arm(program);
}
