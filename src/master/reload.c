#include "master/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "master/listener-use.h"
#include "master/master.h"
#include "master/programs.h"
#include "master/sockets.h"

#include <errno.h>
#include <string.h>

const char *reload_state_to_string(enum reload_state state)
{
    switch (state) {
    case RELOAD_NONE:
        return "none";
    case RELOAD_CHECKING:
        return "checking";
    case RELOAD_CANARIES:
        return "canaries";
    case RELOAD_ROLLING:
        return "rolling";
    case RELOAD_ROLLING_BACK:
        return "rolling_back";
    }
    return "?";
}

struct log_subject reload_subject(uint64_t id, const struct program *program)
{
    struct log_subject subject = {.reload = id};
    if (program) {
        subject.program = program->name;
        subject.generation = program->committed->number;
    }
    return subject;
}

/* The only writer of the state. */
static void set_state(struct master *master, enum reload_state state)
{
    struct reload *reload = &master->reload;
    uint64_t now = clock_monotonic_usec();
    if (reload->state != RELOAD_NONE)
        reload->running.phase_usec[reload->state] += now - reload->state_usec;
    reload->state = state;
    reload->state_usec = now;
    if (state != RELOAD_NONE)
        event_bus_publish(&master->events, EVENT_RELOAD,
                          json_pack("{s:I, s:s, s:s*}", "id", (json_int_t)reload->running.id,
                                    "state", reload_state_to_string(state), "reason",
                                    reload->reason));
}

static void log_result(const struct master *master, enum reload_result result, uint64_t took_usec)
{
    unsigned long long id = master->reload.running.id;
    const char *reason = master->reload.reason ? master->reload.reason : "unknown reason";
    char took[DURATION_TEXT_SIZE];
    bool is_told = false;
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!program->in_result || !program->started)
            continue;
        is_told = true;
        CLEANUP_FREE char *fatal = program_fatal_text(program);
        if (result == RELOAD_COMMITTED && fatal)
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_WARNING,
                      "reload %llu committed, generation %llu, %s", id,
                      (unsigned long long)program->committed->number, fatal);
        else if (result == RELOAD_COMMITTED)
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_INFO,
                      "reload %llu committed, generation %llu, %u worker%s, %s", id,
                      (unsigned long long)program->committed->number, program_wanted(program),
                      program_wanted(program) == 1 ? "" : "s", duration_to_text(took_usec, took));
        else if (program->degraded)
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_ERROR,
                      "reload %llu degraded: %s; and the old generation does not start any more",
                      id, reason);
        else
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_ERROR,
                      "reload %llu rolled back: %s", id, reason);
    }
    if (!is_told && result == RELOAD_COMMITTED)
        log_about(reload_subject(id, NULL), LOG_LEVEL_INFO, "reload %llu committed, %s", id,
                  duration_to_text(took_usec, took));
}

static void leave_reload(struct program *program)
{
    if (program->removed)
        return;
    program->is_unnamed = program->in_result = false;
    if (program->is_new) {
        program_remove(program);
        return;
    }
    program_forget_target(program);
    if (program->resumes)
        program_start(program);
}

/* The end of the one that runs. */
static void finish(struct master *master, enum reload_result result)
{
    struct reload *reload = &master->reload;
    log_result(master, result, clock_monotonic_usec() - reload->running.began_usec);
    set_state(master, RELOAD_NONE);
    reload_end(master, &reload->running, result, TAKE_PTR(reload->reason));
    release_clear(&reload->release);
    for (size_t i = 0; i < master->n_programs; i++)
        leave_reload(master->programs[i]);
    reload_candidate_reconsider(master, result);
    master_trim_listeners(master);
    master->gives_back = true;
    if (reload->candidate.request.id == 0)
        master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_ENDED);
}

static void supersede(struct master *master, const char *by)
{
    struct reload *reload = &master->reload;
    if (reload->running.id == 0)
        return;
    log_about(reload_subject(reload->running.id, NULL), LOG_LEVEL_INFO,
              "reload %llu superseded by %s", (unsigned long long)reload->running.id, by);
    char *reason = reload->reason
                       ? string_format("superseded by %s, while it was being rolled back: %s", by,
                                       reload->reason)
                       : string_format("superseded by %s", by);
    free(reload->reason);
    reload->reason = NULL;
    set_state(master, RELOAD_NONE);
    reload_end(master, &reload->running, RELOAD_SUPERSEDED, reason);
    release_clear(&reload->release);
}

void reload_abandon(struct master *master)
{
    struct reload *reload = &master->reload;
    reload_drop_candidate(master, "a shutdown");
    supersede(master, "a shutdown");
    if (reload->wanted.id != 0)
        reload_end(master, &reload->wanted, RELOAD_SUPERSEDED, strdup("superseded by a shutdown"));
}

/* Beginning */

static void publish_rollouts(struct master *master);

static struct reload_part *find_part(const struct reload_candidate *candidate,
                                     const struct program *program)
{
    for (size_t i = 0; i < candidate->n_parts; i++)
        if (strcmp(candidate->parts[i].program, program->name) == 0)
            return &candidate->parts[i];
    return NULL;
}

static void begin_program(struct master *master, struct program *program,
                          struct generation *generation)
{
    program->told_step = NULL;
    if (program_begin(program, generation) < 0)
        log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_ERROR,
                  "out of memory, it stays in its old generation");
}

static void begin_old_program(struct master *master, const struct reload_candidate *candidate,
                              struct program *program, struct generation *generation)
{
    const struct config_program_change *change = config_diff_program(candidate->diff,
                                                                     generation->program->name);
    begin_program(master, program, generation);
    if (reload_may_leave_fatal(&master->reload.running, change) &&
        generation_is_told_the_same(program->committed, generation))
        program_expect_fatal(program);
}

/*
 * Those that are there: with a part they go on, and without a name they will go when it commits. What a superseded reload was about to add goes
 * at once, unless this one has a part for it: its name may be that of another program by now.
 */
static void begin_old_programs(struct master *master, const struct reload_candidate *candidate)
{
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        if (program->removed)
            continue;
        program_forget_slot_failures(program);
        bool has_name = program == master_find_program(master, program->name);
        const struct reload_part *part = has_name ? find_part(candidate, program) : NULL;
        program->is_unnamed = part ? !part->is_named || part->added
                                   : !config_find_program(master->reload.release.config,
                                                          program->name);
        program->in_result = program->takes_part = false;
        program->adopted = generation_unref(program->adopted);
        if (part && part->is_adopted)
            program_begin_adoption(program, part->generation);
        else if (part && !part->added)
            begin_old_program(master, candidate, program, part->generation);
        else if (program->is_new)
            program_remove(program);
    }
}

static void begin_new_programs(struct master *master, struct reload_candidate *candidate)
{
    for (size_t i = 0; i < candidate->n_parts; i++) {
        struct reload_part *part = &candidate->parts[i];
        struct program *program = TAKE_PTR(part->added);
        if (!program)
            continue;
        /* One that it is to replace stays if this comes to nothing, and counts on. */
        struct program *before = master_find_program(master, part->program);
        if (before)
            before->last_generation = MAX(before->last_generation, part->generation->number);
        master_take_program(master, program);
        program->is_new = true;
        program->last_generation = part->generation->number - 1;
        if (part->generation->program->autostart)
            program_start(program);
        begin_program(master, program, part->generation);
    }
}

static void mark_result(struct program *program)
{
    program->in_result = program->takes_part || program->adopted || program->is_unnamed;
}

static void begin_programs(struct master *master, struct reload_candidate *candidate)
{
    begin_old_programs(master, candidate);
    begin_new_programs(master, candidate);
    for (size_t i = 0; i < master->n_programs; i++)
        mark_result(master->programs[i]);
    master_sort_programs(master);
    publish_rollouts(master);
}

static const char *describe_kind(const struct reload_request *request)
{
    switch (request->kind) {
    case RELOAD_READ:
    case RELOAD_CURRENT:
        return request->all ? "" : request->changed_only ? ", of what changed" : ", in part";
    case RELOAD_RESTART:
        return ", a restart";
    case RELOAD_SCALE:
        return ", a change of the number of workers";
    case RELOAD_UNDO:
        return ", an undo";
    }
    return "";
}

void reload_take(struct master *master, struct reload_candidate *candidate)
{
    struct reload *reload = &master->reload;
    char by[64], cause[RELOAD_CAUSE_TEXT_SIZE];
    (void)snprintf(by, sizeof(by), "reload %llu", (unsigned long long)candidate->request.id);
    supersede(master, by);
    reload->running = candidate->request;
    candidate->request = (struct reload_request){0};
    const struct reload_request *request = &reload->running;
    log_about(reload_subject(request->id, NULL), LOG_LEVEL_INFO, "reload %llu began%s: %s",
              (unsigned long long)request->id, describe_kind(request),
              reload_cause_to_text(&request->cause, cause));
    reload->release = candidate->release;
    candidate->release = (struct release){0};
    event_bus_publish(&master->events, EVENT_RELOAD,
                      json_pack("{s:I, s:s, s:o*}", "id", (json_int_t)request->id, "state", "began",
                                "plan", reload_plan_to_json(candidate)));
    set_state(master, RELOAD_CANARIES);
    begin_programs(master, candidate);
    reload_candidate_clear(candidate);
}

/* Going on */

static const char *describe_step(const struct program *program)
{
    if (program->degraded)
        return "degraded";
    if (program->rolled_back)
        return "rolled_back";
    if (program_stays_fatal(program) && program->phase != ROLLOUT_ROLLING_BACK)
        return "fatal";
    switch (program->phase) {
    case ROLLOUT_IDLE:
        return program->waiting ? "waiting" : "done";
    case ROLLOUT_CANARY:
        return "canary";
    case ROLLOUT_ROLLING:
        return program->done ? "done" : "rolling";
    case ROLLOUT_ROLLING_BACK:
        return "rolling_back";
    }
    return "?";
}

static unsigned count_target_ready(const struct program *program)
{
    unsigned n = 0;
    for (size_t i = 0; i < program->n_slots; i++) {
        const struct worker *worker = program->slots[i]->current;
        n += worker && worker->generation == program->target && worker->state == WORKER_READY;
    }
    return n;
}

static void publish_rollouts(struct master *master)
{
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        const char *step = describe_step(program);
        if (!program_is_rolling(program) || step == program->told_step)
            continue;
        program->told_step = step;
        event_bus_publish(&master->events, EVENT_ROLLOUT,
                          json_pack("{s:I, s:s, s:s, s:I, s:I}", "reload",
                                    (json_int_t)master->reload.running.id, "program", program->name,
                                    "step", step, "ready", (json_int_t)count_target_ready(program),
                                    "workers", (json_int_t)program_wanted(program)));
    }
}

static const struct program *find_failed(const struct master *master)
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (program_is_rolling(master->programs[i]) && master->programs[i]->failed)
            return master->programs[i];
    return NULL;
}

static bool all_started(const struct master *master, bool (*holds)(const struct program *program))
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (program_is_rolling(master->programs[i]) && !holds(master->programs[i]))
            return false;
    return true;
}

static bool is_proven(const struct program *program)
{
    return program->canary_proven;
}

static bool is_done(const struct program *program)
{
    return program->done;
}

static bool is_back(const struct program *program)
{
    return program->rolled_back;
}

static bool is_released(const struct program *program)
{
    return program->phase == ROLLOUT_ROLLING;
}

/* Programs of one priority roll together, when those before them are done. True if any was let go. */
static bool release_next(struct master *master)
{
    const struct program *first = NULL;
    bool released = false;
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        if (!program_is_rolling(program))
            continue;
        if (is_released(program)) {
            if (!program->done)
                return false;
            continue;
        }
        if (first && program_config(program)->priority != program_config(first)->priority)
            break;
        /* It failed in a slot that may stay FATAL, and is tried in another one. */
        if (!program->canary_proven)
            break;
        first = program;
        program_release(program);
        released = true;
    }
    return released;
}

static bool begin_roll_back(struct master *master, const struct program *failed)
{
    struct reload *reload = &master->reload;
    reload->reason = strdup(failed->failure ? failed->failure : "unknown reason");
    log_about(reload_subject(reload->running.id, NULL), LOG_LEVEL_ERROR,
              "reload %llu failed, going back to the old generation: %s",
              (unsigned long long)reload->running.id, reload->reason ? reload->reason : "");
    set_state(master, RELOAD_ROLLING_BACK);
    for (size_t i = 0; i < master->n_programs; i++)
        if (program_is_rolling(master->programs[i]))
            program_roll_back(master->programs[i]);
    return true;
}

/* Not what a restart alone or a number of workers does. */
static bool can_be_wanted_back(const struct master *master)
{
    const struct reload *reload = &master->reload;
    return reload->running.kind != RELOAD_SCALE &&
           (reload->running.kind != RELOAD_RESTART ||
            reload->release.config != master->release.config);
}

static void commit(struct master *master)
{
    struct reload *reload = &master->reload;
    if (can_be_wanted_back(master))
        undo_remember(master);
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        if (program->target || program->adopted)
            program_commit(program);
    }
    sockets_commit(master, &reload->release);
    for (size_t i = 0; i < master->n_programs; i++)
        if (master->programs[i]->is_unnamed)
            program_remove(master->programs[i]);
    master_sort_programs(master);
    CLEANUP_FREE char *error = NULL;
    if (master_apply_log(master->release.config, master->options.journal, &error) < 0)
        log_error("%s; logging goes on as before", error ? error : "log");
    logging_log_changed(master->logging);
    watching_update(master->watching, reload->running.began_usec,
                    reload->running.kind == RELOAD_READ);
    if (reload->release.prepared)
        master->options.commit(master->release.config, reload->release.prepared,
                               master->options.userdata);
    reload->reason = reload_fatal_text(master);
    finish(master, RELOAD_COMMITTED);
}

static enum reload_result roll_back_result(const struct master *master)
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (program_is_rolling(master->programs[i]) && master->programs[i]->degraded)
            return RELOAD_DEGRADED;
    return RELOAD_ROLLED_BACK;
}

static bool step(struct master *master)
{
    struct reload *reload = &master->reload;
    const struct program *failed = find_failed(master);
    switch (reload->state) {
    case RELOAD_NONE:
    case RELOAD_CHECKING: /* of a candidate only */
        return false;
    case RELOAD_CANARIES:
        if (failed)
            return begin_roll_back(master, failed);
        if (!all_started(master, is_proven))
            return false;
        set_state(master, RELOAD_ROLLING);
        return true;
    case RELOAD_ROLLING:
        if (failed)
            return begin_roll_back(master, failed);
        if (release_next(master))
            return true;
        if (!all_started(master, is_done))
            return false;
        commit(master);
        return true;
    case RELOAD_ROLLING_BACK:
        if (!all_started(master, is_back))
            return false;
        finish(master, roll_back_result(master));
        return true;
    }
    return false;
}

bool reload_step(struct master *master)
{
    bool more = reload_candidate_step(master);
    if (master->reload.state == RELOAD_NONE)
        return more;
    more = step(master) || more;
    if (master->reload.state != RELOAD_NONE)
        publish_rollouts(master);
    return more;
}
