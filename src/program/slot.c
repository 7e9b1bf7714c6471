/* Slots: their workers' memory, their backoff, and what they amount to in one word. */
#include "program/internal.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

struct slot *slot_free(struct slot *slot)
{
    if (!slot)
        return NULL;
    (void)worker_free(slot->current);
    (void)worker_free(slot->successor);
    LIST_FOREACH_SAFE (worker, &slot->leaving, struct worker, link) {
        list_remove(&worker->link);
        (void)worker_free(worker);
    }
    (void)sd_event_source_disable_unref(slot->backoff_timer);
    free(slot);
    return NULL;
}

static int on_backoff_over(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct slot *slot = userdata;
    slot->backoff_until_usec = 0;
    program_mark(slot->program);
    return 0;
}

int slot_new(struct program *program, unsigned number, struct slot **ret)
{
    CLEANUP(slot_freep) struct slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    slot->program = program;
    slot->number = number;
    list_init(&slot->leaving);
    int r = sd_event_add_time(program->params.event, &slot->backoff_timer, CLOCK_MONOTONIC, 0,
                              USEC_PER_MSEC, on_backoff_over, slot);
    if (r >= 0)
        r = sd_event_source_set_enabled(slot->backoff_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(slot->backoff_timer, "slot-backoff");
    *ret = TAKE_PTR(slot);
    return 0;
}

bool slot_is_empty(const struct slot *slot)
{
    return !slot->current && !slot->successor && list_is_empty(&slot->leaving);
}

double program_random(void)
{
    uint32_t value;
    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
        return 0.5;
    return (double)value / (double)UINT32_MAX;
}

void slot_plan_restart(struct slot *slot, const struct generation *generation, uint64_t ready_usec)
{
    if (slot->history_generation != generation->number) {
        slot->history = (struct restart_history){0};
        slot->history_generation = generation->number;
    }
    const struct config_backoff *backoff = &generation->program->backoff;
    const struct restart_policy policy = {
        .backoff_initial_usec = backoff->initial_usec,
        .backoff_max_usec = backoff->max_usec,
        .backoff_factor = backoff->factor,
        .backoff_jitter = backoff->jitter,
    };
    const struct restart_event event = {.ready_usec = ready_usec, .random = program_random()};
    struct restart_decision decision = restart_policy_next(&policy, &slot->history, &event);
    slot->history = decision.history;
    slot->restarts += generation == program_wanted_generation(slot->program);
    slot->backoff_until_usec = 0;
    if (decision.delay_usec == 0)
        return;
    slot->backoff_until_usec = clock_monotonic_usec() + decision.delay_usec;
    (void)sd_event_source_set_time(slot->backoff_timer, slot->backoff_until_usec);
    (void)sd_event_source_set_enabled(slot->backoff_timer, SD_EVENT_ONESHOT);
}

const char *slot_restart_text(const struct slot *slot, const struct generation *generation,
                              char buffer[RESTART_TEXT_SIZE])
{
    const struct program *program = slot->program;
    char delay[DURATION_TEXT_SIZE];
    uint64_t now = clock_monotonic_usec();
    buffer[0] = '\0';
    if (program->failed || slot->number >= program_wanted(program))
        return buffer;
    if (slot->backoff_until_usec <= now || generation != program_wanted_generation(program))
        (void)snprintf(buffer, RESTART_TEXT_SIZE, "; restarting now");
    else
        (void)snprintf(buffer, RESTART_TEXT_SIZE, "; restarting in %s",
                       duration_to_text(slot->backoff_until_usec - now, delay));
    return buffer;
}

const char *slot_state_to_string(enum slot_state state)
{
    switch (state) {
    case SLOT_STOPPED:
        return "STOPPED";
    case SLOT_STARTING:
        return "STARTING";
    case SLOT_READY:
        return "READY";
    case SLOT_DRAINING:
        return "DRAINING";
    case SLOT_STOPPING:
        return "STOPPING";
    case SLOT_BACKOFF:
        return "BACKOFF";
    }
    return "?";
}

static bool is_in(const struct worker *worker, enum worker_state state)
{
    return worker && worker->state == state;
}

enum slot_state slot_get_state(const struct slot *slot)
{
    if (is_in(slot->current, WORKER_READY) || is_in(slot->successor, WORKER_READY))
        return SLOT_READY;
    if (slot->current || slot->successor)
        return SLOT_STARTING;
    if (slot->backoff_until_usec > clock_monotonic_usec())
        return SLOT_BACKOFF;
    bool leaving = false;
    LIST_FOREACH (worker, &slot->leaving, struct worker, link) {
        if (worker->state == WORKER_DRAINING)
            return SLOT_DRAINING;
        leaving = true;
    }
    return leaving ? SLOT_STOPPING : SLOT_STOPPED;
}
