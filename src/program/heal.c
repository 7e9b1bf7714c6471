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

size_t heal_next(const struct heal_slot *slots, size_t n, unsigned max_unavailable)
{
    size_t next = n;
    unsigned under_way = 0;
    for (size_t i = 0; i < n; i++) {
        under_way += slots[i].standing == HEAL_UNDER_WAY;
        if (slots[i].standing == HEAL_ILL &&
            (next == n || slots[i].tried_usec < slots[next].tried_usec))
            next = i;
    }
    return under_way < MAX(max_unavailable, 1U) ? next : n;
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

void slot_is_told(struct slot *slot)
{
    slot->on_trial = slot->on_trial || is_healed(slot);
}

static unsigned count_ill(const struct program *program)
{
    unsigned n = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        n += is_ill(program->slots[i]->current);
    return n;
}

static void note_failed_try(struct program *program, const struct worker *worker)
{
    const struct config_program *config = program_config(program);
    uint64_t now = clock_monotonic_usec();
    uint64_t pause = heal_pause(MAX(config->health.interval_usec, config->watchdog_usec),
                                ++program->heal_tries);
    char text[DURATION_TEXT_SIZE];
    program->heal_retry_usec = now + pause;
    log_about(program_subject(program), LOG_LEVEL_WARNING,
              "%u of %u workers unhealthy, and the replacement of slot %u is not well either: they "
              "stay, as what all of them need may be down; the next try is in %s",
              count_ill(program), program_wanted(program), worker->slot,
              duration_to_text(pause, text));
}

/* What has become of the one that took over? */
static void judge_trial(struct slot *slot)
{
    if (!slot->on_trial || !is_ready(slot->current) || is_healed(slot) || is_unsure(slot->current))
        return;
    slot->on_trial = false;
    if (is_ill(slot->current))
        note_failed_try(slot->program, slot->current);
    else
        slot->program->heal_tries = 0;
}

static void judge_replacement(struct slot *slot)
{
    if (!is_healed(slot) || !is_ready(slot->current))
        return;
    if (!is_ill(slot->current)) {
        slot_spare(slot);
    } else if (is_ill(slot->successor)) {
        note_failed_try(slot->program, slot->successor);
        slot_spare(slot);
    }
}

static void view(const struct program *program, struct heal_slot *slots)
{
    for (size_t i = 0; i < program->n_slots; i++) {
        const struct slot *slot = program->slots[i];
        bool ill = is_ill(slot->current);
        slots[i].tried_usec = slot->heal_tried_usec;
        slots[i].standing = HEAL_FINE;
        if (slot->on_trial || (ill && slot->current->worn))
            slots[i].standing = HEAL_UNDER_WAY;
        else if (ill && !slot->held && i < program_wanted(program))
            slots[i].standing = HEAL_ILL;
    }
}

/* Without memory nobody, for now. */
static size_t find_next(const struct program *program)
{
    const struct config_program *config = program_config(program);
    struct heal_slot *slots = calloc(program->n_slots + 1, sizeof(*slots));
    if (!slots)
        return program->n_slots;
    view(program, slots);
    size_t next = heal_next(slots, program->n_slots,
                            config_amount(config->reload.max_unavailable, config->workers));
    free(slots);
    return next;
}

static void heal(struct program *program, uint64_t now)
{
    size_t next = program->n_slots;
    if (now >= program->heal_retry_usec)
        next = find_next(program);
    if (next == program->n_slots)
        return;
    program->slots[next]->heal_tried_usec = now;
    slot_wear(program->slots[next], reason_unhealthy);
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

void program_heal(struct program *program)
{
    if (program->phase != ROLLOUT_IDLE || !program->started ||
        (!program->heal_timer && !config_looks_at_health(program_config(program))))
        return;
    if (program_add_heal_timer(program) < 0)
        return;
    for (size_t i = 0; i < program->n_slots; i++) {
        judge_trial(program->slots[i]);
        judge_replacement(program->slots[i]);
    }
    if (count_ill(program) == 0) {
        program->heal_tries = 0;
        program->heal_retry_usec = 0;
    }
    uint64_t now = clock_monotonic_usec();
    heal(program, now);
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
    return string_format("%u of %u workers unhealthy; they are replaced one after the other", ill,
                         all);
}
