#include "program/heal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "program/internal.h"

#define PAUSE_MIN_USEC USEC_PER_SEC
#define PAUSE_MAX_USEC (300 * USEC_PER_SEC)
/* Beyond what checks may take: where none can be made, nobody waits for their result for ever. */
#define PATIENCE_USEC (5 * USEC_PER_SEC)

static const char reason_unhealthy[] = "unhealthy";

static unsigned count(const struct heal_view *view, enum heal_standing standing)
{
    unsigned n = 0;
    for (size_t i = 0; i < view->n_slots; i++)
        n += view->slots[i].standing == standing;
    return n;
}

static enum heal_act decide(const struct heal_view *view, const struct heal_slot *slot)
{
    unsigned limit = MAX(view->max_unavailable, 1U), under_way = count(view, HEAL_UNDER_WAY);
    bool others_are_well = count(view, HEAL_FINE) > 0 && count(view, HEAL_ILL) <= limit;
    if (under_way >= limit)
        return HEAL_NOTHING;
    if (view->beside && !(slot->failed && others_are_well))
        return HEAL_BESIDE;
    return under_way + count(view, HEAL_ABSENT) < limit ? HEAL_TELL_FIRST : HEAL_NOTHING;
}

enum heal_act heal_next(const struct heal_view *view, size_t *ret_slot)
{
    const struct heal_slot *next = NULL;
    for (size_t i = 0; i < view->n_slots; i++) {
        const struct heal_slot *slot = &view->slots[i];
        if (slot->standing == HEAL_ILL && (!next || slot->tried_usec < next->tried_usec))
            next = slot;
    }
    if (!next)
        return HEAL_NOTHING;
    *ret_slot = (size_t)(next - view->slots);
    return decide(view, next);
}

uint64_t heal_pause(uint64_t first_usec, unsigned tries)
{
    uint64_t pause = MAX(first_usec, PAUSE_MIN_USEC);
    for (unsigned i = 1; i < tries && pause < PAUSE_MAX_USEC; i++)
        pause *= 2;
    return MIN(pause, PAUSE_MAX_USEC);
}

static bool is_ready(const struct worker *worker)
{
    return worker && worker->state == WORKER_READY;
}

static bool is_ill(const struct worker *worker)
{
    return is_ready(worker) && worker_health(worker) == HEALTH_BAD;
}

static bool is_healed(const struct slot *slot)
{
    return slot->current && slot->current->worn == reason_unhealthy;
}

/* How long it may take until it is known whether a worker is well. */
static uint64_t patience(const struct worker *worker)
{
    const struct config_program *config = worker->generation->program;
    const struct config_health *health = &config->health;
    uint64_t checks = config_has_check(&health->check)
                          ? health->failures * (health->interval_usec + health->timeout_usec)
                          : 0;
    return config->watchdog_usec + checks + PATIENCE_USEC;
}

static uint64_t patience_ends(const struct worker *worker)
{
    return worker->ready_usec + patience(worker);
}

static bool is_unsure(const struct worker *worker)
{
    return worker_health(worker) == HEALTH_UNKNOWN &&
           clock_monotonic_usec() < patience_ends(worker);
}

bool slot_successor_is_proven(const struct slot *slot)
{
    return !is_healed(slot) || !is_unsure(slot->successor);
}

static unsigned count_ill(const struct program *program)
{
    unsigned n = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        n += is_ill(program->slots[i]->current);
    return n;
}

static enum heal_standing stand(const struct slot *slot)
{
    const struct program *program = slot->program;
    if (slot->number >= program_wanted(program) || (slot_is_over(slot) && !slot->current))
        return HEAL_NOBODY;
    if (slot->on_trial || is_healed(slot))
        return HEAL_UNDER_WAY;
    if (!is_ready(slot->current))
        return HEAL_ABSENT;
    if (!is_ill(slot->current))
        return HEAL_FINE;
    return slot->current->worn || slot->held ? HEAL_UNDER_WAY : HEAL_ILL;
}

/* Without memory nothing, for now. */
static enum heal_act next_act(const struct program *program, size_t *ret_slot)
{
    const struct config_program *config = program_config(program);
    struct heal_slot *slots = calloc(program->n_slots + 1, sizeof(*slots));
    if (!slots)
        return HEAL_NOTHING;
    for (size_t i = 0; i < program->n_slots; i++) {
        const struct slot *slot = program->slots[i];
        slots[i] = (struct heal_slot){.standing = stand(slot),
                                      .failed = slot->heal_failed,
                                      .tried_usec = slot->heal_tried_usec};
    }
    const struct heal_view view = {
        .slots = slots,
        .n_slots = program->n_slots,
        .max_unavailable = config_amount(config->reload.max_unavailable, config->workers),
        .beside = config->n_sockets > 0 &&
                  config_amount(config->reload.max_surge, config->workers) > 0,
    };
    enum heal_act act = heal_next(&view, ret_slot);
    free(slots);
    return act;
}

static void pause_healing(struct program *program, const struct slot *slot)
{
    const struct config_program *config = program_config(program);
    uint64_t pause = heal_pause(MAX(config->health.interval_usec, config->watchdog_usec),
                                ++program->heal_tries);
    char text[DURATION_TEXT_SIZE];
    program->heal_retry_usec = clock_monotonic_usec() + pause;
    log_about(program_subject(program), LOG_LEVEL_WARNING,
              "%u of %u workers unhealthy, and the replacement in slot %u did not get well either: "
              "they stay, as what all of them need may be down; the next try is in %s",
              count_ill(program), program_wanted(program), slot->number,
              duration_to_text(pause, text));
}

/* What has become of the one that took over? */
static void judge_trial(struct slot *slot)
{
    if (!slot->on_trial || !is_ready(slot->current) || is_unsure(slot->current))
        return;
    slot->on_trial = false;
    if (is_ill(slot->current))
        pause_healing(slot->program, slot);
    else
        slot->program->heal_tries = 0;
}

static bool has_failed_beside(struct slot *slot)
{
    bool was_there = slot->heal_came;
    slot->heal_came = slot->successor;
    return is_ill(slot->successor) ||
           (!slot->successor && (was_there || slot->backoff_until_usec > 0));
}

static void judge_replacement(struct slot *slot)
{
    size_t next;
    if (!is_healed(slot) || !is_ready(slot->current))
        return;
    if (!is_ill(slot->current) && !is_ready(slot->successor)) {
        slot_spare(slot);
    } else if (has_failed_beside(slot)) {
        slot->heal_came = false;
        slot->heal_failed = true;
        slot_spare(slot);
        if (next_act(slot->program, &next) != HEAL_TELL_FIRST)
            pause_healing(slot->program, slot);
    }
}

static void tell_first(struct slot *slot)
{
    log_about(worker_subject(slot->current), LOG_LEVEL_INFO,
              "has to go before its replacement can come%s",
              slot->heal_failed ? ": beside it that did not get well" : "");
    slot->on_trial = true;
    slot->heal_failed = false;
    program_drain(slot, slot->current);
}

static void heal(struct program *program, uint64_t now)
{
    size_t next;
    if (now < program->heal_retry_usec)
        return;
    enum heal_act act = next_act(program, &next);
    if (act == HEAL_NOTHING)
        return;
    struct slot *slot = program->slots[next];
    slot->heal_tried_usec = now;
    slot->heal_came = false;
    slot_wear(slot, reason_unhealthy);
    if (act == HEAL_TELL_FIRST)
        tell_first(slot);
}

/* When there is something to decide without an event of its own; UINT64_MAX: never. */
static uint64_t next_look(const struct program *program, uint64_t now)
{
    uint64_t next = program->heal_retry_usec > now ? program->heal_retry_usec : UINT64_MAX;
    for (size_t i = 0; i < program->n_slots; i++) {
        const struct slot *slot = program->slots[i];
        if (is_healed(slot) && is_ready(slot->successor) && is_unsure(slot->successor))
            next = MIN(next, patience_ends(slot->successor));
        if (slot->on_trial && is_ready(slot->current) && is_unsure(slot->current))
            next = MIN(next, patience_ends(slot->current));
    }
    return next;
}

static int on_look(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    program_mark(userdata);
    return 0;
}

int program_add_heal_timer(struct program *program)
{
    if (program->heal_timer)
        return 0;
    int r = sd_event_add_time(program->params.event, &program->heal_timer, CLOCK_MONOTONIC, 0,
                              10 * USEC_PER_MSEC, on_look, program);
    if (r >= 0)
        r = sd_event_source_set_enabled(program->heal_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(program->heal_timer, "heal");
    return 0;
}

static void arm(struct program *program, uint64_t now)
{
    uint64_t next = next_look(program, now);
    if (next == UINT64_MAX) {
        (void)sd_event_source_set_enabled(program->heal_timer, SD_EVENT_OFF);
        return;
    }
    (void)sd_event_source_set_time(program->heal_timer, next);
    (void)sd_event_source_set_enabled(program->heal_timer, SD_EVENT_ONESHOT);
}

static bool has_trial(const struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        if (program->slots[i]->on_trial)
            return true;
    return false;
}

void program_heal(struct program *program)
{
    if (program->phase != ROLLOUT_IDLE || !program->started ||
        (!program->heal_timer && !config_looks_at_health(program_config(program))))
        return;
    if (program_add_heal_timer(program) < 0)
        return;
    for (size_t i = 0; i < program->n_slots; i++) {
        struct slot *slot = program->slots[i];
        judge_trial(slot);
        judge_replacement(slot);
        slot->heal_failed = slot->heal_failed && is_ill(slot->current);
    }
    uint64_t now = clock_monotonic_usec();
    if (count_ill(program) > 0) {
        heal(program, now);
    } else if (!has_trial(program)) {
        program->heal_retry_usec = 0;
        program->heal_tries = 0;
    }
    arm(program, now);
}

char *program_health_text(const struct program *program)
{
    unsigned ill = count_ill(program), all = program_wanted(program);
    if (ill == 0)
        return NULL;
    if (program->heal_tries > 0)
        return string_format(
            "%u of %u workers unhealthy; a new one is not well either, so they stay "
            "for now (what all of them need may be down)",
            ill, all);
    return string_format("%u of %u workers unhealthy; they are replaced by and by", ill, all);
}
