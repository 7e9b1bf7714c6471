/* From what is to what is wished: the view for rollout_next(), and its actions performed. */
#include "program/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "program/heal.h"
#include "program/recycle.h"
#include "program/settle.h"
#include "program/spread.h"

#include <errno.h>
#include <string.h>

#define STOPPING_PER_SLOT_MAX 4
/* By default backoff.initial is 200 ms and each wait twice as long as the last one: 25 s. */
#define SHORTAGES_MAX      7u
#define SHORTAGE_WAIT_USEC USEC_PER_MSEC /* at least */

static void free_gone_workers(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        LIST_FOREACH_SAFE (worker, &program->slots[i]->leaving, struct worker, link)
            if (worker->state == WORKER_GONE) {
                list_remove(&worker->link);
                (void)worker_free(worker);
            }
}

/* The next older generation than `than` that has a worker draining; 0: none. */
static uint64_t older_draining(const struct program *program, uint64_t than)
{
    uint64_t found = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        LIST_FOREACH (worker, &program->slots[i]->leaving, struct worker, link)
            if (worker->state == WORKER_DRAINING && worker->generation->number < than)
                found = MAX(found, worker->generation->number);
    return found;
}

static void cut_draining(const struct program *program, struct worker *worker)
{
    char text[DURATION_TEXT_SIZE];
    log_about(
        worker_subject(worker), LOG_LEVEL_WARNING,
        "still drains in generation %llu, but no more than %u generations may (max_draining): "
        "stopping it, pid %d, after %s; connections that it still had are cut. Raise "
        "max_draining, or reload less often, to let them end",
        (unsigned long long)worker->generation->number, program_config(program)->max_draining,
        (int)worker->pid, duration_to_text(clock_monotonic_usec() - worker->state_usec, text));
    worker_stop(worker, "max_draining");
}

/*
 * Reloads that come faster than long-lived connections end pile up generations, each with its memory. Beyond max_draining the
 * oldest have to give way.
 */
static void cap_draining(struct program *program)
{
    uint64_t oldest_kept = UINT64_MAX;
    for (unsigned i = 0; i < program_config(program)->max_draining; i++) {
        oldest_kept = older_draining(program, oldest_kept);
        if (oldest_kept == 0)
            return;
    }
    for (size_t i = 0; i < program->n_slots; i++)
        LIST_FOREACH (worker, &program->slots[i]->leaving, struct worker, link)
            if (worker->state == WORKER_DRAINING && worker->generation->number < oldest_kept) {
                cut_draining(program, worker);
            }
}

static void trim_slots(struct program *program)
{
    while (program->n_slots > program_max_workers(program) &&
           slot_is_empty(program->slots[program->n_slots - 1])) {
        program->n_slots--;
        program->slots[program->n_slots] = slot_free(program->slots[program->n_slots]);
    }
}

/* The view */

/* Options of the reload that runs, or of the committed generation. */
static const struct config_program *options(const struct program *program)
{
    return (program->target ? program->target : program->committed)->program;
}

static struct rollout_place view_place(const struct program *program, const struct worker *worker)
{
    if (!worker)
        return (struct rollout_place){.presence = ROLLOUT_NONE};
    enum rollout_generation generation = ROLLOUT_OTHER;
    if (worker->generation == program->committed)
        generation = ROLLOUT_COMMITTED;
    else if (worker->generation == program->target)
        generation = ROLLOUT_TARGET;
    return (struct rollout_place){
        .presence = worker->state == WORKER_READY ? ROLLOUT_READY : ROLLOUT_STARTING,
        .generation = generation,
        .worn = worker->worn,
    };
}

static struct rollout_slot view_slot(const struct program *program, struct slot *slot)
{
    struct rollout_slot view = {
        .current = view_place(program, slot->current),
        .successor = view_place(program, slot->successor),
        .backoff = slot->backoff_until_usec > 0 &&
                   slot->history_generation == program_wanted_generation(program)->number,
        .busy = slot_is_busy(slot),
    };
    view.unsettled = slot_is_unsettled(slot);
    if (slot->successor && !slot_successor_is_proven(slot))
        view.successor.presence = ROLLOUT_STARTING;
    view.held = slot_is_closed(slot);
    view.over = slot_is_over(slot);
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        view.leaving += worker_is_leaving(worker);
    return view;
}

/*
 * Reloads that supersede each other stop each other's successors. Where these take their time to end, there must not be ever
 * more of them. Those that drain don't count: their connections may take as long as is configured.
 */
static bool is_crowded(const struct program *program)
{
    size_t stopping = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        LIST_FOREACH (worker, &program->slots[i]->leaving, struct worker, link)
            stopping += worker->state == WORKER_STOPPING && !worker->given_up;
    return stopping > STOPPING_PER_SLOT_MAX * (program->n_slots + 1);
}

bool program_has_own_sockets(const struct config_program *config)
{
    for (size_t i = 0; i < config->n_sockets; i++)
        if (config->sockets[i]->sharing == CONFIG_PER_WORKER)
            return true;
    return false;
}

static size_t next_actions(const struct program *program, struct rollout_slot *slots,
                           struct rollout_action actions[ROLLOUT_ACTIONS_MAX])
{
    const struct config_program *config = options(program);
    for (size_t i = 0; i < program->n_slots; i++)
        slots[i] = view_slot(program, program->slots[i]);
    const struct rollout_view view = {
        .phase = program->phase,
        .order = config_program_ready_first(config) ? ROLLOUT_READY_FIRST : ROLLOUT_DRAIN_FIRST,
        .canary = config->reload.canary,
        .workers = program_wanted(program),
        .target_workers = program->started ? config->workers : 0,
        .own_sockets = program_has_own_sockets(config),
        .max_unavailable = config_amount(config->reload.max_unavailable, config->workers),
        .max_surge = config_amount(config->reload.max_surge, config->workers),
        .failed = program->failed,
        .crowded = is_crowded(program),
        .n_slots = program->n_slots,
        .slots = slots,
    };
    return rollout_next(&view, actions);
}

/* Actions */

static struct generation *find_generation(const struct program *program,
                                          enum rollout_generation generation)
{
    return generation == ROLLOUT_TARGET ? program->target : program->committed;
}

/* "web/0: cannot execute ..." without the worker's name, which has no blanks. */
static const char *without_name(const char *error)
{
    const char *colon = strstr(error, ": ");
    return colon ? colon + 2 : error;
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -EAGAIN || error == -ENOMEM;
}

/*
 * What there is too little of now there may be enough of in a moment, when others have left. The way back does not end for
 * that: it would leave the new version where that is already. Nor is it a fault of the old one.
 */
static bool waits_for_room(struct slot *slot, const struct generation *generation, int error,
                           const char *text)
{
    const struct program *program = slot->program;
    if (program->phase != ROLLOUT_ROLLING_BACK || generation != program->committed ||
        !is_shortage(error) || slot->shortages == SHORTAGES_MAX)
        return false;
    char delay[DURATION_TEXT_SIZE];
    const struct config_backoff *backoff = &generation->program->backoff;
    uint64_t usec = MAX(MIN(backoff->initial_usec << slot->shortages++, backoff->max_usec),
                        SHORTAGE_WAIT_USEC);
    slot_put_off(slot, generation, usec);
    log_error("%s; the way back waits for that, and tries again in %s (%u of %u)", text,
              duration_to_text(usec, delay), slot->shortages, SHORTAGES_MAX);
    slot_note_end(slot, strdup(without_name(text)));
    return true;
}

static void start_worker(struct slot *slot, struct generation *generation, struct worker **place)
{
    struct program *program = slot->program;
    const struct worker_params params = {
        .event = program->params.event,
        .reaper = program->params.reaper,
        .generation = generation,
        .slot = slot->number,
        .notify_directory = program->params.notify_directory,
        .id = (*program->params.next_worker_id)++,
        .nofile = program->params.nofile,
        .output = program->params.output,
        .probes = program->params.probes,
        .ops = &program_worker_ops,
        .userdata = slot,
    };
    CLEANUP_FREE char *error = NULL;
    int r = worker_new(&params, place, &error);
    if (r < 0 && waits_for_room(slot, generation, r, error ? error : strerror(-r)))
        return;
    if (r < 0) {
        char restart[RESTART_TEXT_SIZE];
        slot_plan_restart(slot, generation,
                          &(struct worker_end){.start_failed = true, .status = -1});
        program_note_failed_start(slot, generation, strdup(error ? error : strerror(-r)));
        log_error("%s%s", error ? error : strerror(-r),
                  slot_restart_text(slot, generation, restart));
        slot_note_end(slot, strdup(error ? without_name(error) : strerror(-r)));
        slot_tell_fatal(slot);
        return;
    }
    program->params.ops->worker_changed(program, *place, WORKER_GONE, "started",
                                        program->params.userdata);
}

/* When no rollout runs. */
static const char *dismissal(const struct program *program, const struct worker *worker)
{
    if (worker->worn)
        return worker->worn;
    if (program->halted || program->slots[worker->slot]->held)
        return "stop";
    return worker->slot >= program_wanted(program) ? "fewer workers" : "not wanted any more";
}

static const char *leave_reason(const struct program *program, const struct worker *worker)
{
    if (program->stopping)
        return program->removed ? "removed" : "shutdown";
    switch (program->phase) {
    case ROLLOUT_IDLE:
        return dismissal(program, worker);
    case ROLLOUT_CANARY:
        return "not wanted any more";
    case ROLLOUT_ROLLING:
        return "reload";
    case ROLLOUT_ROLLING_BACK:
        return "roll back";
    }
    return "";
}

/* How many slots drain at a time: where replacements are ready first, or there are none, nobody waits for a drain. */
static unsigned drain_together(const struct program *program)
{
    const struct config_program *config = options(program);
    return config_program_ready_first(config) || !program->started
               ? (unsigned)program->n_slots
               : config_amount(config->reload.max_unavailable, config->workers);
}

void program_drain(struct slot *slot, struct worker *worker)
{
    struct program *program = slot->program;
    if (program->ends_at_once) {
        worker_drain(worker, leave_reason(program, worker), NULL);
        return;
    }
    uint64_t now = clock_monotonic_usec();
    uint64_t time = worker->generation->program->disconnect_spread_usec;
    unsigned slots = (unsigned)program->n_slots;
    if (program->drain_began_usec == 0)
        program->drain_began_usec = now;
    uint64_t point = spread_point(time, slot->number, slots, program->spread_offset);
    const struct worker_spread spread = {
        .wait_usec = spread_wait(point, program->drain_began_usec, now),
        .own_usec = spread_own(time, drain_together(program), slots),
    };
    worker_drain(worker, leave_reason(program, worker), &spread);
}

/* The return is over, well or not: whatever is left is how things are now. */
static void end_roll_back(struct program *program, bool degraded)
{
    program->target = generation_unref(program->target);
    program_end_roll_back_fatal(program);
    program->phase = ROLLOUT_IDLE;
    program->failed = false;
    program->rolled_back = true;
    program->degraded = degraded;
}

/* Each start takes the time of a fork and an exec. */
static bool may_start(struct program *program)
{
    unsigned *left = program->params.starts_left;
    if (left && *left == 0) {
        program_mark(program);
        return false;
    }
    if (left)
        (*left)--;
    return true;
}

/* False: nothing is to be done any more by this pass. */
static bool perform(struct program *program, const struct rollout_action *action)
{
    struct slot *slot = program->slots[action->slot];
    switch (action->type) {
    case ROLLOUT_START_CURRENT:
        if (!may_start(program))
            return false;
        start_worker(slot, find_generation(program, action->generation), &slot->current);
        return true;
    case ROLLOUT_START_SUCCESSOR:
        if (!may_start(program))
            return false;
        start_worker(slot, find_generation(program, action->generation), &slot->successor);
        return true;
    case ROLLOUT_SETTLE_CURRENT:
        log_about(worker_subject(slot->current), LOG_LEVEL_DEBUG,
                  "clients go to other sockets from now on");
        slot_settle(slot);
        return true;
    case ROLLOUT_DRAIN_CURRENT:
        program_drain(slot, slot->current);
        return true;
    case ROLLOUT_DRAIN_SUCCESSOR:
        program_drain(slot, slot->successor);
        return true;
    case ROLLOUT_STOP_CURRENT:
        worker_stop(slot->current, leave_reason(program, slot->current));
        return true;
    case ROLLOUT_STOP_SUCCESSOR:
        worker_stop(slot->successor, leave_reason(program, slot->successor));
        return true;
    case ROLLOUT_PROMOTE:
        slot->current = TAKE_PTR(slot->successor);
        return true;
    case ROLLOUT_FAIL:
        return false; /* the master looks at `failed`, and rolls back all programs */
    case ROLLOUT_COMMIT:
        program->done = true;
        return false;
    case ROLLOUT_ROLLED_BACK:
        end_roll_back(program, false);
        return true;
    case ROLLOUT_DEGRADED:
        end_roll_back(program, true);
        return true;
    }
    return false;
}

static bool perform_all(struct program *program, struct rollout_slot *slots)
{
    struct rollout_action actions[ROLLOUT_ACTIONS_MAX];
    size_t n = next_actions(program, slots, actions);
    bool more = n > 0;
    for (size_t i = 0; i < n && more; i++)
        more = perform(program, &actions[i]);
    return more;
}

void program_converge(struct program *program)
{
    free_gone_workers(program);
    cap_draining(program);
    program_heal(program);
    struct rollout_slot *slots = calloc(program->n_slots + 1, sizeof(*slots));
    if (!slots) {
        log_about(program_subject(program), LOG_LEVEL_ERROR,
                  "out of memory, trying again at the next event");
        return;
    }
    /* Each round does at least one thing to one slot; a slot has few things that can be done to it. */
    size_t rounds = 16 + 8 * program->n_slots;
    while (rounds > 0 && perform_all(program, slots))
        rounds--;
    if (rounds == 0)
        log_about(program_subject(program), LOG_LEVEL_ERROR,
                  "no end in bringing its workers up to date; this is a defect of reloader");
    free(slots);
    trim_slots(program);
    program_recycle(program);
}
