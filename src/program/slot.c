/* Slots: their workers' memory, their backoff, and what they amount to in one word. */
#include "program/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
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
    free(slot->start_failure);
    free(slot->last_end);
    free(slot->fatal_why);
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

bool slot_is_closed(const struct slot *slot)
{
    return slot->held || slot->stays_fatal;
}

bool slot_is_vacant(const struct slot *slot)
{
    if (slot->current || slot->successor)
        return false;
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        if (!worker->given_up)
            return false;
    return true;
}

double program_random(void)
{
    uint32_t value;
    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
        return 0.5;
    return (double)value / (double)UINT32_MAX;
}

static struct restart_policy make_policy(const struct config_program *config)
{
    const struct config_backoff *backoff = &config->backoff;
    static const enum restart_mode modes[] = {
        [CONFIG_RESTART_ALWAYS] = RESTART_ALWAYS,
        [CONFIG_RESTART_UNEXPECTED] = RESTART_UNEXPECTED,
        [CONFIG_RESTART_NEVER] = RESTART_NEVER,
    };
    return (struct restart_policy){
        .mode = modes[config->restart],
        .start_retries = config->start_retries,
        .backoff_initial_usec = backoff->initial_usec,
        .backoff_max_usec = backoff->max_usec,
        .backoff_factor = backoff->factor,
        .backoff_jitter = backoff->jitter,
    };
}

static void arm_backoff(struct slot *slot, uint64_t delay_usec)
{
    slot->backoff_until_usec = 0;
    if (delay_usec == 0)
        return;
    slot->backoff_until_usec = clock_monotonic_usec() + delay_usec;
    (void)sd_event_source_set_time(slot->backoff_timer, slot->backoff_until_usec);
    (void)sd_event_source_set_enabled(slot->backoff_timer, SD_EVENT_ONESHOT);
}

/* False: max_restarts is reached. Without memory nobody is given up. */
static bool count_restart(struct program *program, const struct config_program *config)
{
    const struct config_max_restarts *limit = &config->max_restarts;
    if (limit->count == 0)
        return true;
    if (!program->restarts)
        program->restarts = calloc(1, sizeof(*program->restarts));
    return !program->restarts || restart_window_next(program->restarts, limit->count,
                                                     limit->within_usec, clock_monotonic_usec());
}

static void give_up(struct slot *slot, const struct generation *generation,
                    const struct worker_end *end, const char *why)
{
    slot->over_generation = generation->number;
    slot->fatal = slot->fatal_untold = true;
    slot->fatal_status = end->status;
    free(slot->fatal_why);
    slot->fatal_why = strdup(why);
}

void slot_note_end(struct slot *slot, char *how)
{
    free(slot->last_end);
    slot->last_end = how;
    if (how)
        string_make_utf8(how);
}

static char *fatal_reason(const struct slot *slot)
{
    const char *why = slot->fatal_why ? slot->fatal_why : "it was given up";
    return slot->last_end ? string_format("%s; the last one: %s", why, slot->last_end)
                          : strdup(why);
}

char *slot_reason(const struct slot *slot)
{
    switch (slot_get_state(slot)) {
    case SLOT_FATAL:
        return fatal_reason(slot);
    case SLOT_BACKOFF:
    case SLOT_EXITED:
        return slot->last_end ? strdup(slot->last_end) : NULL;
    case SLOT_STOPPED:
    case SLOT_STARTING:
    case SLOT_READY:
    case SLOT_DRAINING:
    case SLOT_STOPPING:
        break;
    }
    return NULL;
}

void slot_tell_fatal(struct slot *slot)
{
    struct program *program = slot->program;
    if (!slot->fatal_untold)
        return;
    slot->fatal_untold = false;
    if (slot->stays_fatal) {
        log_about(program_subject(program), LOG_LEVEL_WARNING,
                  "slot %u is FATAL as before: %s. The %s goes on without it; `reloaderctl "
                  "start %s:%u` tries again",
                  slot->number, slot->last_end ? slot->last_end : "no memory",
                  program->phase == ROLLOUT_ROLLING_BACK ? "way back" : "reload", program->name,
                  slot->number);
        return;
    }
    CLEANUP_FREE char *reason = fatal_reason(slot);
    log_about(program_subject(program), LOG_LEVEL_ERROR,
              "slot %u is FATAL: %s. `reloaderctl start %s:%u` tries again", slot->number,
              reason ? reason : "no memory", program->name, slot->number);
    if (program->params.ops->fatal)
        program->params.ops->fatal(slot, slot->fatal_status, reason ? reason : "no memory",
                                   program->params.userdata);
}

static void finish_slot(struct slot *slot, const struct generation *generation)
{
    slot->over_generation = generation->number;
    slot->fatal = false;
}

static bool is_new_in_reload(const struct program *program, const struct generation *generation)
{
    return generation == program->target &&
           (program->phase == ROLLOUT_CANARY || program->phase == ROLLOUT_ROLLING);
}

/*
 * Either who serves in the slot still does: it was a successor that did not come up, and it is tried again later. Or it is the reload that
 * gives its new version up, and nobody has to leave for that (exit_on_fatal). Or it is a version that nobody wants here any more.
 */
static bool goes_on(struct slot *slot, const struct generation *generation)
{
    const struct program *program = slot->program;
    if (!slot->current && !is_new_in_reload(program, generation) &&
        generation == program_wanted_generation(program))
        return false;
    arm_backoff(slot, generation->program->backoff.max_usec);
    return true;
}

static void follow(struct slot *slot, const struct generation *generation,
                   const struct restart_decision *decision, const struct worker_end *end)
{
    const struct config_program *config = generation->program;
    bool expected = config_expects_exit(config, end->status);
    char why[128], within[DURATION_TEXT_SIZE];
    switch (decision->verdict) {
    case RESTART_AGAIN:
        if ((end->start_failed || !expected) && !count_restart(slot->program, config)) {
            if (goes_on(slot, generation))
                break;
            (void)snprintf(why, sizeof(why),
                           "more than %u restarts of the program within %s (max_restarts)",
                           config->max_restarts.count,
                           duration_to_text(config->max_restarts.within_usec, within));
            give_up(slot, generation, end, why);
            break;
        }
        slot->restarts += generation == program_wanted_generation(slot->program);
        arm_backoff(slot, decision->delay_usec);
        break;
    case RESTART_OVER:
        finish_slot(slot, generation);
        break;
    case RESTART_FATAL:
        if (goes_on(slot, generation))
            break;
        (void)snprintf(why, sizeof(why), "%u failed start%s in a row (start_retries is %u)",
                       decision->history.failed_starts,
                       decision->history.failed_starts == 1 ? "" : "s", config->start_retries);
        give_up(slot, generation, end, why);
        break;
    }
}

void slot_plan_restart(struct slot *slot, const struct generation *generation,
                       const struct worker_end *end)
{
    if (slot->stays_fatal)
        return;
    if (slot->history_generation != generation->number) {
        slot->history = (struct restart_history){0};
        slot->history_generation = generation->number;
    }
    const struct restart_policy policy = make_policy(generation->program);
    const struct restart_event event = {
        .start_failed = end->start_failed,
        .expected = config_expects_exit(generation->program, end->status),
        .ready_usec = end->ready_usec,
        .random = program_random(),
    };
    struct restart_decision decision = restart_policy_next(&policy, &slot->history, &event);
    slot->history = decision.history;
    slot->backoff_until_usec = 0;
    follow(slot, generation, &decision, end);
}

void slot_put_off(struct slot *slot, const struct generation *generation, uint64_t delay_usec)
{
    if (slot->history_generation != generation->number)
        slot->history = (struct restart_history){0};
    slot->history_generation = generation->number;
    arm_backoff(slot, delay_usec);
}

bool slot_is_over(const struct slot *slot)
{
    const struct generation *wanted = program_wanted_generation(slot->program);
    return slot_is_closed(slot) ||
           (slot->over_generation > 0 && slot->over_generation == wanted->number);
}

const char *slot_restart_text(const struct slot *slot, const struct generation *generation,
                              char buffer[RESTART_TEXT_SIZE])
{
    const struct program *program = slot->program;
    char delay[DURATION_TEXT_SIZE];
    uint64_t now = clock_monotonic_usec();
    buffer[0] = '\0';
    if (program->failed || slot->number >= program_wanted(program) || slot_is_over(slot) ||
        (slot->current && !slot->current->worn))
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
    case SLOT_EXITED:
        return "EXITED";
    case SLOT_FATAL:
        return "FATAL";
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
    if (slot->backoff_until_usec > clock_monotonic_usec() && !slot_is_over(slot))
        return SLOT_BACKOFF;
    bool leaving = false;
    LIST_FOREACH (worker, &slot->leaving, struct worker, link) {
        if (worker->state == WORKER_DRAINING)
            return SLOT_DRAINING;
        leaving = true;
    }
    if (leaving)
        return SLOT_STOPPING;
    if (slot->held || !slot_is_over(slot))
        return SLOT_STOPPED;
    return slot->fatal ? SLOT_FATAL : SLOT_EXITED;
}
