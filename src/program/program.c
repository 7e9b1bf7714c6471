/*
 * The shell around rollout_next(): it records events, builds the view, performs actions.
 *
 * Workers in a slot's places are STARTING or READY. The moment one is told to leave, leaves by itself or dies it moves to the
 * slot's leaving list, where it stays until it is GONE; program_converge() frees it.
 */
#include "program/program.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "process/pidfd.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define PROBATION_DEFAULT_USEC (3 * USEC_PER_SEC)

static void mark(struct program *program)
{
    program->params.ops->changed(program, program->params.userdata);
}

/* Options of the reload that runs, or of the committed generation. */
static const struct config_program *options(const struct program *program)
{
    return (program->target ? program->target : program->committed)->program;
}

/* What empty places are filled with in this phase. */
static struct generation *wanted_generation(const struct program *program)
{
    return program->phase == ROLLOUT_ROLLING ? program->target : program->committed;
}

unsigned program_wanted(const struct program *program)
{
    return program->started ? wanted_generation(program)->program->workers : 0;
}

static unsigned max_workers(const struct program *program)
{
    unsigned workers = program_wanted(program);
    if (!program->started || !program->target)
        return workers;
    return MAX(program->committed->program->workers, program->target->program->workers);
}

/* Slots */

static struct slot *slot_free(struct slot *slot)
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
DEFINE_FREEP(struct slot *, slot_free)

static int on_backoff_over(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct slot *slot = userdata;
    slot->backoff_until_usec = 0;
    mark(slot->program);
    return 0;
}

static int slot_new(struct program *program, unsigned number, struct slot **ret)
{
    CLEANUP(slot_freep) struct slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    slot->program = program;
    slot->number = number;
    list_init(&slot->leaving);
    int r = sd_event_add_time(program->params.event, &slot->backoff_timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                              on_backoff_over, slot);
    if (r >= 0)
        r = sd_event_source_set_enabled(slot->backoff_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(slot->backoff_timer, "slot-backoff");
    *ret = TAKE_PTR(slot);
    return 0;
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

static bool slot_is_empty(const struct slot *slot)
{
    return !slot->current && !slot->successor && list_is_empty(&slot->leaving);
}

static void trim_slots(struct program *program)
{
    while (program->n_slots > max_workers(program) && slot_is_empty(program->slots[program->n_slots - 1])) {
        program->n_slots--;
        program->slots[program->n_slots] = slot_free(program->slots[program->n_slots]);
    }
}

static void free_gone_workers(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        LIST_FOREACH_SAFE (worker, &program->slots[i]->leaving, struct worker, link)
            if (worker->state == WORKER_GONE) {
                list_remove(&worker->link);
                (void)worker_free(worker);
            }
}

/* Failures */

/* `reason` is taken over. The first one of a reload is what people are told. */
static void fail(struct program *program, char *reason)
{
    program->failed = true;
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    if (program->failure)
        free(reason);
    else
        program->failure = reason;
}

/* Would this worker's generation, if it cannot be started, make the reload (or the way back from it) fail? */
static bool is_on_trial(const struct program *program, const struct generation *generation)
{
    switch (program->phase) {
    case ROLLOUT_IDLE:
        return false;
    case ROLLOUT_CANARY:
    case ROLLOUT_ROLLING:
        return generation == program->target;
    case ROLLOUT_ROLLING_BACK:
        return generation == program->committed;
    }
    return false;
}

static double random_unit(void)
{
    uint32_t value = UINT32_MAX / 2;
    (void)getrandom(&value, sizeof(value), GRND_NONBLOCK);
    return (double)value / (double)UINT32_MAX;
}

static void plan_restart(struct slot *slot, const struct generation *generation, uint64_t ready_usec)
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
    const struct restart_event event = {.ready_usec = ready_usec, .random = random_unit()};
    struct restart_decision decision = restart_policy_next(&policy, &slot->history, &event);
    slot->history = decision.history;
    slot->restarts++;
    slot->backoff_until_usec = 0;
    if (decision.delay_usec == 0)
        return;
    slot->backoff_until_usec = clock_monotonic_usec() + decision.delay_usec;
    (void)sd_event_source_set_time(slot->backoff_timer, slot->backoff_until_usec);
    (void)sd_event_source_set_enabled(slot->backoff_timer, SD_EVENT_ONESHOT);
}

/* "; restarting in 400 ms", or "" where it will not be. Returns buffer. */
#define RESTART_TEXT_SIZE 80
static const char *restart_text(const struct slot *slot, const struct generation *generation,
                                char buffer[RESTART_TEXT_SIZE])
{
    const struct program *program = slot->program;
    char delay[DURATION_TEXT_SIZE];
    uint64_t now = clock_monotonic_usec();
    buffer[0] = '\0';
    if (program->failed || slot->number >= program_wanted(program))
        return buffer;
    if (slot->backoff_until_usec <= now || generation != wanted_generation(program))
        (void)snprintf(buffer, RESTART_TEXT_SIZE, "; restarting now");
    else
        (void)snprintf(buffer, RESTART_TEXT_SIZE, "; restarting in %s",
                       duration_to_text(slot->backoff_until_usec - now, delay));
    return buffer;
}

/* A start did not succeed: `reason` ("web/0 exited with 1 before it was ready") is taken over. */
static void note_failed_start(struct slot *slot, struct generation *generation, char *reason)
{
    struct program *program = slot->program;
    const char *text = reason ? reason : "out of memory";
    if (generation == program->committed && program->phase == ROLLOUT_IDLE)
        program->params.ops->start_failed(program, text, program->params.userdata);
    if (is_on_trial(program, generation))
        fail(program, TAKE_PTR(reason));
    free(reason);
}

/* Crashes of workers that were ready already do not end a reload at once, but they must not go on for ever. */
static bool crashes_too_often(struct program *program)
{
    return ++program->crashes > program->target->program->workers + 2;
}

static void note_crash(struct slot *slot, struct worker *worker, const char *how)
{
    struct program *program = slot->program;
    uint64_t now = clock_monotonic_usec();
    bool short_lived = now - worker->started_usec < worker->generation->program->start_seconds_usec;
    if (worker->ready_usec == 0)
        note_failed_start(slot, worker->generation,
                          string_format("%s %s before it was ready", worker->name, how));
    else if (short_lived)
        note_failed_start(slot, worker->generation,
                          string_format("%s %s within its first %s (start_seconds)", worker->name, how,
                                        duration_to_text(worker->generation->program->start_seconds_usec,
                                                         (char[DURATION_TEXT_SIZE]){0})));
    else if (program->phase == ROLLOUT_CANARY && worker->generation == program->target)
        fail(program, string_format("%s %s in its probation", worker->name, how));
    else if (program->phase == ROLLOUT_ROLLING && worker->generation == program->target &&
             crashes_too_often(program))
        fail(program, string_format("%s %s, and the new workers keep doing so", worker->name, how));
}

/* Workers' events */

/* From a place to the leaving list. */
static bool vacate(struct slot *slot, struct worker *worker)
{
    if (slot->current == worker)
        slot->current = NULL;
    else if (slot->successor == worker)
        slot->successor = NULL;
    else
        return false;
    list_append(&slot->leaving, &worker->link);
    return true;
}

static void begin_probation(struct program *program, const struct worker *worker)
{
    const struct config_reload *reload = &program->target->program->reload;
    uint64_t probation = reload->probation_usec;
    if (reload->probation_auto)
        probation = worker->announced ? 0 : PROBATION_DEFAULT_USEC;
    if (probation == 0) {
        program->canary_proven = true;
        return;
    }
    char text[DURATION_TEXT_SIZE];
    log_info("%s: on probation for %s before others are replaced", worker->name,
             duration_to_text(probation, text));
    (void)sd_event_source_set_time(program->probation_timer, clock_monotonic_usec() + probation);
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_ONESHOT);
}

static int on_probation_over(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct program *program = userdata;
    program->canary_proven = true;
    mark(program);
    return 0;
}

static void on_worker_changed(struct worker *worker, enum worker_state from, const char *reason, void *userdata)
{
    struct slot *slot = userdata;
    struct program *program = slot->program;
    switch (worker->state) {
    case WORKER_READY:
        if (program->phase == ROLLOUT_CANARY && worker->generation == program->target)
            begin_probation(program, worker);
        break;
    case WORKER_DRAINING:
        if (!worker->asked_to_leave && program->phase == ROLLOUT_CANARY && worker->generation == program->target)
            fail(program, string_format("%s began to stop by itself in its probation", worker->name));
        (void)vacate(slot, worker);
        break;
    case WORKER_STOPPING:
        (void)vacate(slot, worker);
        if (worker->failure) {
            plan_restart(slot, worker->generation, 0);
            note_failed_start(slot, worker->generation, string_format("%s %s", worker->name, worker->failure));
        }
        break;
    case WORKER_STARTING:
    case WORKER_GONE:
        break;
    }
    program->params.ops->worker_changed(program, worker, from, reason, program->params.userdata);
    mark(program);
}

static void on_worker_exited(struct worker *worker, void *userdata)
{
    struct slot *slot = userdata;
    char text[PROCESS_EXIT_TEXT_SIZE], restart[RESTART_TEXT_SIZE];
    const char *how = process_exit_to_text(&worker->exit, text);
    if (worker->asked_to_leave) {
        log_info("%s: gone, pid %d, %s", worker->name, (int)worker->pid, how);
    } else {
        uint64_t now = clock_monotonic_usec();
        plan_restart(slot, worker->generation, worker->ready_usec ? now - worker->ready_usec : 0);
        note_crash(slot, worker, how);
        log_warning("%s: died, pid %d, %s%s", worker->name, (int)worker->pid, how,
                    restart_text(slot, worker->generation, restart));
    }
    mark(slot->program);
}

static void on_worker_message(struct worker *worker, json_t *value, void *userdata)
{
    struct slot *slot = userdata;
    struct program *program = slot->program;
    program->params.ops->worker_message(program, worker, value, program->params.userdata);
}

static const struct worker_ops worker_ops = {
    .changed = on_worker_changed,
    .exited = on_worker_exited,
    .message = on_worker_message,
};

/* The view */

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
    };
}

static struct rollout_slot view_slot(const struct program *program, const struct slot *slot)
{
    struct rollout_slot view = {
        .current = view_place(program, slot->current),
        .successor = view_place(program, slot->successor),
        .backoff = slot->backoff_until_usec > 0 && slot->history_generation == wanted_generation(program)->number,
    };
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        view.leaving += worker_is_leaving(worker);
    return view;
}

static size_t next_actions(const struct program *program, struct rollout_slot *slots,
                           struct rollout_action actions[ROLLOUT_ACTIONS_MAX])
{
    const struct config_program *config = options(program);
    for (size_t i = 0; i < program->n_slots; i++)
        slots[i] = view_slot(program, program->slots[i]);
    const struct rollout_view view = {
        .phase = program->phase,
        .order = config->reload.order == CONFIG_ORDER_READY_FIRST ? ROLLOUT_READY_FIRST : ROLLOUT_DRAIN_FIRST,
        .canary = config->reload.canary,
        .workers = program_wanted(program),
        .target_workers = program->started ? config->workers : 0,
        .max_unavailable = config_amount(config->reload.max_unavailable, config->workers),
        .max_surge = config_amount(config->reload.max_surge, config->workers),
        .failed = program->failed,
        .n_slots = program->n_slots,
        .slots = slots,
    };
    return rollout_next(&view, actions);
}

/* Actions */

static struct generation *find_generation(const struct program *program, enum rollout_generation generation)
{
    return generation == ROLLOUT_TARGET ? program->target : program->committed;
}

static void start_worker(struct slot *slot, struct generation *generation, struct worker **place)
{
    struct program *program = slot->program;
    const struct worker_params params = {
        .event = program->params.event,
        .reaper = program->params.reaper,
        .generation = generation,
        .slot = slot->number,
        .listeners = program->params.listeners,
        .notify_directory = program->params.notify_directory,
        .id = (*program->params.next_worker_id)++,
        .nofile = program->params.nofile,
        .ops = &worker_ops,
        .userdata = slot,
    };
    CLEANUP_FREE char *error = NULL;
    int r = worker_new(&params, place, &error);
    if (r < 0) {
        char restart[RESTART_TEXT_SIZE];
        plan_restart(slot, generation, 0);
        note_failed_start(slot, generation, strdup(error ? error : strerror(-r)));
        log_error("%s%s", error ? error : strerror(-r), restart_text(slot, generation, restart));
        return;
    }
    program->params.ops->worker_changed(program, *place, WORKER_GONE, "started", program->params.userdata);
}

static const char *leave_reason(const struct program *program)
{
    if (program->stopping)
        return "shutdown";
    switch (program->phase) {
    case ROLLOUT_IDLE:
    case ROLLOUT_CANARY:
        return "not wanted any more";
    case ROLLOUT_ROLLING:
        return "reload";
    case ROLLOUT_ROLLING_BACK:
        return "roll back";
    }
    return "";
}

/* The return is over, well or not: whatever is left is how things are now. */
static void end_roll_back(struct program *program, bool degraded)
{
    program->target = generation_unref(program->target);
    program->phase = ROLLOUT_IDLE;
    program->failed = false;
    program->rolled_back = true;
    program->degraded = degraded;
}

/* False: nothing is to be done any more by this pass. */
static bool perform(struct program *program, const struct rollout_action *action)
{
    struct slot *slot = program->slots[action->slot];
    switch (action->type) {
    case ROLLOUT_START_CURRENT:
        start_worker(slot, find_generation(program, action->generation), &slot->current);
        return true;
    case ROLLOUT_START_SUCCESSOR:
        start_worker(slot, find_generation(program, action->generation), &slot->successor);
        return true;
    case ROLLOUT_DRAIN_CURRENT:
        worker_drain(slot->current, leave_reason(program));
        return true;
    case ROLLOUT_DRAIN_SUCCESSOR:
        worker_drain(slot->successor, leave_reason(program));
        return true;
    case ROLLOUT_STOP_CURRENT:
        worker_stop(slot->current, leave_reason(program));
        return true;
    case ROLLOUT_STOP_SUCCESSOR:
        worker_stop(slot->successor, leave_reason(program));
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
    struct rollout_slot *slots = calloc(program->n_slots + 1, sizeof(*slots));
    if (!slots) {
        log_error("%s: out of memory, trying again at the next event", program->name);
        return;
    }
    /* Each round does at least one thing to one slot; a slot has few things that can be done to it. */
    size_t rounds = 16 + 8 * program->n_slots;
    while (rounds > 0 && perform_all(program, slots))
        rounds--;
    if (rounds == 0)
        log_error("%s: no end in bringing its workers up to date; this is a defect of reloader", program->name);
    free(slots);
    trim_slots(program);
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
    int r = grow_slots(program, MAX(target->program->workers, program->committed->program->workers));
    if (r < 0)
        return r;
    reset_reload(program);
    program->failure = (free(program->failure), NULL);
    (void)generation_unref(program->target);
    program->target = generation_ref(target);
    program->last_generation = MAX(program->last_generation, target->number);
    program->phase = ROLLOUT_IDLE;
    if (!program->started)
        return 0;
    program->waiting = !target->program->reload.canary;
    program->phase = program->waiting ? ROLLOUT_IDLE : ROLLOUT_CANARY;
    program->canary_proven = program->waiting;
    mark(program);
    return 0;
}

void program_release(struct program *program)
{
    program->waiting = false;
    program->failed = false;
    program->phase = ROLLOUT_ROLLING;
    mark(program);
}

void program_commit(struct program *program)
{
    (void)generation_unref(program->committed);
    program->committed = TAKE_PTR(program->target);
    program->phase = ROLLOUT_IDLE;
    reset_reload(program);
    mark(program);
}

void program_roll_back(struct program *program)
{
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    program->waiting = program->canary_proven = program->done = false;
    program->failed = false;
    program->phase = ROLLOUT_ROLLING_BACK;
    mark(program);
}

void program_forget_target(struct program *program)
{
    program->target = generation_unref(program->target);
}

void program_start(struct program *program)
{
    program->started = true;
    if (grow_slots(program, program->committed->program->workers) < 0)
        log_error("%s: out of memory for its slots", program->name);
    mark(program);
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
    program->target = generation_unref(program->target);
    if (force)
        stop_now(program);
    mark(program);
}

bool program_is_empty(const struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        if (!slot_is_empty(program->slots[i]))
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
    int r = sd_event_add_time(params->event, &program->probation_timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
                              on_probation_over, program);
    if (r >= 0)
        r = sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(program->probation_timer, "probation");
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
    (void)generation_unref(program->target);
    (void)generation_unref(program->committed);
    free(program->failure);
    free(program->name);
    free(program);
    return NULL;
}
