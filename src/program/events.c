/*
 * What workers do, and what it means for their slot and for a reload that runs: only recorded here.
 *
 * A worker that is told to leave, leaves by itself or dies moves from its place to the slot's leaving list at once.
 */
#include "program/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "process/pidfd.h"

#include <stdio.h>
#include <string.h>

#define PROBATION_DEFAULT_USEC (3 * USEC_PER_SEC)

/* Another one than that which failed serves in it again, as it is to. */
static bool is_back(const struct slot *slot)
{
    return slot->program->phase == ROLLOUT_ROLLING_BACK && slot->current &&
           slot->current->generation == slot->program->committed &&
           slot->current->state == WORKER_READY;
}

/* `reason` is taken over. The first one of a reload is what people are told. */
static void fail(struct slot *slot, char *reason)
{
    struct program *program = slot->program;
    /* Its canary may be on probation in another slot by now. */
    if (slot->stays_fatal) {
        free(reason);
        return;
    }
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_OFF);
    if (slot_may_stay_fatal(slot)) {
        if (is_back(slot))
            free(reason);
        else
            slot_stay_fatal(slot, reason);
        return;
    }
    program->failed = true;
    if (reason)
        string_make_utf8(reason);
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

/* The first one in this slot. What memory does not suffice for, the reload's own reason tells. */
static void note_slot_failure(const struct slot *slot, const char *reason)
{
    struct program *program = slot->program;
    for (size_t i = 0; i < program->n_slot_failures; i++)
        if (program->slot_failures[i].slot == slot->number)
            return;
    char *copy = reason ? strdup(reason) : NULL;
    struct slot_failure *larger = reallocarray(program->slot_failures, program->n_slot_failures + 1,
                                               sizeof(*larger));
    if (larger)
        program->slot_failures = larger;
    if (!copy || !larger) {
        free(copy);
        return;
    }
    string_make_utf8(copy);
    larger[program->n_slot_failures++] = (struct slot_failure){slot->number, copy};
}

/* A start did not succeed: `reason` ("web/0 exited with 1 before it was ready") is taken over. */
void program_note_failed_start(struct slot *slot, struct generation *generation, char *reason)
{
    struct program *program = slot->program;
    if (is_on_trial(program, generation)) {
        note_slot_failure(slot, reason);
        fail(slot, TAKE_PTR(reason));
    } else if (program->phase == ROLLOUT_IDLE) {
        if (!program->start_failure && reason)
            program->start_failure = strdup(reason);
        free(slot->start_failure);
        slot->start_failure = TAKE_PTR(reason);
    }
    free(reason);
}

/* Crashes of workers that were ready already do not end a reload at once, but they must not go on for ever. */
static bool crashes_too_often(struct program *program)
{
    return ++program->crashes > program->target->program->workers + 2;
}

static int exit_status(const struct worker *worker)
{
    return worker->exit.si_code == CLD_EXITED ? worker->exit.si_status
                                              : 128 + worker->exit.si_status;
}

/* Did it end before it was ready, or too soon? One that need not live for any time may have done its work before anybody saw it ready. */
static bool has_failed_to_start(const struct worker *worker)
{
    const struct config_program *config = worker->generation->program;
    if (worker->ready_usec == 0)
        return config->start_seconds_usec > 0 || config->ready != CONFIG_READY_AUTO ||
               !config_expects_exit(config, exit_status(worker));
    return clock_monotonic_usec() - worker->started_usec < config->start_seconds_usec;
}

/* The way of daemons, and a mystery to who sees an exit without an error. */
#define FOREGROUND "; it has to stay in the foreground"

/* As the verb of a sentence. */
#define END_TEXT_SIZE (PROCESS_EXIT_TEXT_SIZE + DURATION_TEXT_SIZE + 64)
static void describe_end(const struct worker *worker, char buffer[END_TEXT_SIZE])
{
    char text[PROCESS_EXIT_TEXT_SIZE], first[DURATION_TEXT_SIZE];
    const char *verb = worker->exit.si_code == CLD_EXITED ? "" : "was killed by ";
    const char *how = process_exit_to_text(&worker->exit, text);
    if (!has_failed_to_start(worker))
        (void)snprintf(buffer, END_TEXT_SIZE, "%s%s", verb, how);
    else if (worker->ready_usec == 0)
        (void)snprintf(buffer, END_TEXT_SIZE, "%s%s before it was ready%s", verb, how,
                       exit_status(worker) == 0 ? FOREGROUND : "");
    else
        (void)snprintf(buffer, END_TEXT_SIZE, "%s%s within its first %s (start_seconds)%s", verb,
                       how,
                       duration_to_text(worker->generation->program->start_seconds_usec, first),
                       exit_status(worker) == 0 ? FOREGROUND : "");
}

static void note_crash(struct slot *slot, struct worker *worker)
{
    struct program *program = slot->program;
    char how[END_TEXT_SIZE];
    describe_end(worker, how);
    slot_note_end(slot, strdup(how));
    if (has_failed_to_start(worker))
        program_note_failed_start(slot, worker->generation,
                                  string_format("%s %s", worker->name, how));
    else if (program->phase == ROLLOUT_CANARY && worker->generation == program->target)
        fail(slot, string_format("%s %s in its probation", worker->name, how));
    else if (program->phase == ROLLOUT_ROLLING && worker->generation == program->target &&
             crashes_too_often(program))
        fail(slot, string_format("%s %s, and the new workers keep doing so", worker->name, how));
}

/* From a place to the leaving list. */
static bool vacate(struct slot *slot, struct worker *worker)
{
    if (slot->current == worker)
        slot->current = NULL;
    else if (slot->successor == worker)
        slot->successor = NULL;
    else
        return false;
    /* While other programs still roll, this one has to be whole again before the reload can commit. */
    if (worker->generation == slot->program->target)
        slot->program->done = false;
    list_append(&slot->leaving, &worker->link);
    return true;
}

static uint64_t ready_time(const struct worker *worker)
{
    return worker->ready_usec ? clock_monotonic_usec() - worker->ready_usec : 0;
}

/* It began to drain by itself: another one takes its place at once, if that does not depend on how it will end. */
static void plan_replacement(struct slot *slot, const struct worker *worker)
{
    if (worker->generation->program->restart == CONFIG_RESTART_ALWAYS)
        slot_plan_restart(slot, worker->generation,
                          &(struct worker_end){.ready_usec = ready_time(worker), .status = -1});
    else
        slot->over_generation = worker->generation->number;
}

static void plan_restart(struct slot *slot, const struct worker *worker)
{
    if (slot->stays_fatal ||
        (worker->left_by_itself && worker->generation->program->restart == CONFIG_RESTART_ALWAYS))
        return;
    if (slot->over_generation == worker->generation->number)
        slot->over_generation = 0;
    /* Its place is another's by now: how this one ends is no failure of that one. */
    if (worker->left_by_itself && worker->generation != program_wanted_generation(slot->program))
        return;
    slot_plan_restart(slot, worker->generation,
                      &(struct worker_end){.start_failed = has_failed_to_start(worker),
                                           .ready_usec = ready_time(worker),
                                           .status = exit_status(worker)});
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
    log_about(worker_subject(worker), LOG_LEVEL_INFO,
              "on probation for %s before others are replaced", duration_to_text(probation, text));
    (void)sd_event_source_set_time(program->probation_timer, clock_monotonic_usec() + probation);
    (void)sd_event_source_set_enabled(program->probation_timer, SD_EVENT_ONESHOT);
}

int program_on_probation_over(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct program *program = userdata;
    program->canary_proven = true;
    program_mark(program);
    return 0;
}

static void on_worker_changed(struct worker *worker, enum worker_state from, const char *reason,
                              void *userdata)
{
    struct slot *slot = userdata;
    struct program *program = slot->program;
    switch (worker->state) {
    case WORKER_READY:
        /* Somebody serves in it: what fails there now is news. On the way back it is not, as little as before. */
        if (worker->generation != program->target && program->phase != ROLLOUT_ROLLING_BACK)
            slot->was_fatal = false;
        if (program->phase == ROLLOUT_CANARY && worker->generation == program->target)
            begin_probation(program, worker);
        break;
    case WORKER_DRAINING:
        (void)vacate(slot, worker);
        if (!worker->asked_to_leave)
            plan_replacement(slot, worker);
        if (!worker->asked_to_leave && program->phase == ROLLOUT_CANARY &&
            worker->generation == program->target)
            fail(slot, string_format("%s began to stop by itself in its probation", worker->name));
        break;
    case WORKER_STOPPING:
        (void)vacate(slot, worker);
        if (worker->failure && from != WORKER_STOPPING) {
            slot_plan_restart(slot, worker->generation,
                              &(struct worker_end){.start_failed = true, .status = -1});
            program_note_failed_start(slot, worker->generation,
                                      string_format("%s %s", worker->name, worker->failure));
            slot_note_end(slot, strdup(worker->failure));
        }
        break;
    case WORKER_STARTING:
    case WORKER_GONE:
        break;
    }
    program->params.ops->worker_changed(program, worker, from, reason, program->params.userdata);
    slot_tell_fatal(slot);
    program_mark(program);
}

static void on_worker_exited(struct worker *worker, void *userdata)
{
    struct slot *slot = userdata;
    char text[END_TEXT_SIZE], restart[RESTART_TEXT_SIZE];
    const char *how = process_exit_to_text(&worker->exit, text);
    if (worker->asked_to_leave) {
        log_about(worker_subject(worker), LOG_LEVEL_INFO, "gone, pid %d, %s", (int)worker->pid,
                  how);
    } else {
        plan_restart(slot, worker);
        note_crash(slot, worker);
        if (exit_status(worker) == 0 && has_failed_to_start(worker))
            describe_end(worker, text);
        bool done = slot->over_generation == worker->generation->number && !slot->fatal;
        log_about(worker_subject(worker), done ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING,
                  "%s, pid %d, %s%s", done ? "exited" : "died", (int)worker->pid, how,
                  slot_restart_text(slot, worker->generation, restart));
        slot_tell_fatal(slot);
    }
    program_mark(slot->program);
}

static void on_worker_granted(struct worker *worker UNUSED, void *userdata)
{
    const struct slot *slot = userdata;
    program_mark(slot->program);
}

static void on_worker_health(struct worker *worker, void *userdata)
{
    struct slot *slot = userdata;
    struct program *program = slot->program;
    if (worker_health(worker) == HEALTH_BAD && program->phase == ROLLOUT_CANARY &&
        worker->generation == program->target)
        fail(slot, string_format("%s was unhealthy in its probation: %s", worker->name,
                                 worker->health.text ? worker->health.text : "no memory"));
    if (program->params.ops->worker_health)
        program->params.ops->worker_health(program, worker, program->params.userdata);
    slot_tell_fatal(slot);
    program_mark(program);
}

static void on_worker_message(struct worker *worker, json_t *value, void *userdata)
{
    struct slot *slot = userdata;
    struct program *program = slot->program;
    program->params.ops->worker_message(program, worker, value, program->params.userdata);
}

const struct worker_ops program_worker_ops = {
    .changed = on_worker_changed,
    .exited = on_worker_exited,
    .granted = on_worker_granted,
    .health = on_worker_health,
    .message = on_worker_message,
};
