#include "master/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "master/master.h"

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
static void set_state(struct reload *reload, enum reload_state state)
{
    uint64_t now = clock_monotonic_usec();
    if (reload->state != RELOAD_NONE)
        reload->running.phase_usec[reload->state] += now - reload->state_usec;
    reload->state = state;
    reload->state_usec = now;
}

static void log_result(const struct master *master, enum reload_result result, uint64_t took_usec)
{
    unsigned long long id = master->reload.running.id;
    const char *reason = master->reload.reason ? master->reload.reason : "unknown reason";
    char took[DURATION_TEXT_SIZE];
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!program->started)
            continue;
        if (result == RELOAD_COMMITTED)
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_INFO,
                      "reload %llu committed, generation %llu, %u workers, %s", id,
                      (unsigned long long)program->committed->number, program_wanted(program),
                      duration_to_text(took_usec, took));
        else if (program->degraded)
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_ERROR,
                      "reload %llu degraded: %s; and the old generation does not start any more",
                      id, reason);
        else
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_ERROR,
                      "reload %llu rolled back: %s", id, reason);
    }
}

/* The end of the one that runs. */
static void finish(struct master *master, enum reload_result result)
{
    struct reload *reload = &master->reload;
    log_result(master, result, clock_monotonic_usec() - reload->running.began_usec);
    set_state(reload, RELOAD_NONE);
    reload_end(master, &reload->running, result, TAKE_PTR(reload->reason));
    reload->running = (struct reload_request){0};
    reload->config = config_unref(reload->config);
    for (size_t i = 0; i < master->n_programs; i++)
        if (!master->programs[i]->started)
            program_forget_target(master->programs[i]);
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
    set_state(reload, RELOAD_NONE);
    reload_end(master, &reload->running, RELOAD_SUPERSEDED, reason);
    reload->running = (struct reload_request){0};
    reload->config = config_unref(reload->config);
}

uint64_t reload_want(struct master *master, enum reload_kind kind, const struct reload_cause *cause)
{
    struct reload *reload = &master->reload;
    struct reload_request before = reload->wanted;
    if (before.id != 0 && before.kind == kind) {
        reload->wanted.also++;
        return before.id;
    }
    reload->wanted = (struct reload_request){.id = ++reload->last_id,
                                             .kind = kind,
                                             .cause = *cause,
                                             .began_usec = clock_monotonic_usec()};
    if (before.id != 0)
        reload_end(master, &before, RELOAD_SUPERSEDED,
                   string_format("superseded by reload %llu", (unsigned long long)reload->last_id));
    return reload->wanted.id;
}

void reload_abandon(struct master *master)
{
    struct reload *reload = &master->reload;
    reload_drop_candidate(master, "a shutdown");
    supersede(master, "a shutdown");
    if (reload->wanted.id != 0)
        reload_end(master, &reload->wanted, RELOAD_SUPERSEDED, strdup("superseded by a shutdown"));
    reload->wanted = (struct reload_request){0};
}

/* Beginning */

static void publish_rollouts(struct master *master);

static struct generation *find_generation(const struct reload_candidate *candidate,
                                          const char *name)
{
    for (size_t i = 0; i < candidate->n_generations; i++)
        if (strcmp(candidate->generations[i]->program->name, name) == 0)
            return candidate->generations[i];
    return NULL;
}

static void begin_programs(struct master *master, const struct reload_candidate *candidate)
{
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        struct generation *generation = find_generation(candidate, program->name);
        program->told_step = NULL;
        if (program_begin(program, generation) < 0)
            log_about(reload_subject(master->reload.running.id, program), LOG_LEVEL_ERROR,
                      "out of memory, it stays in its old generation");
    }
    publish_rollouts(master);
}

void reload_take(struct master *master, struct reload_candidate *candidate)
{
    struct reload *reload = &master->reload;
    const struct reload_request *request = &candidate->request;
    char by[64], cause[RELOAD_CAUSE_TEXT_SIZE];
    (void)snprintf(by, sizeof(by), "reload %llu", (unsigned long long)request->id);
    supersede(master, by);
    log_about(reload_subject(request->id, NULL), LOG_LEVEL_INFO, "reload %llu began%s: %s",
              (unsigned long long)request->id, request->kind == RELOAD_UNDO ? ", an undo" : "",
              reload_cause_to_text(&request->cause, cause));
    reload->running = *request;
    reload->config = TAKE_PTR(candidate->config);
    set_state(reload, RELOAD_CANARIES);
    event_bus_publish(&master->events, EVENT_RELOAD,
                      json_pack("{s:I, s:s}", "id", (json_int_t)request->id, "state", "began"));
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
        if (!program->started || step == program->told_step)
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
        if (master->programs[i]->started && master->programs[i]->failed)
            return master->programs[i];
    return NULL;
}

static bool all_started(const struct master *master, bool (*holds)(const struct program *program))
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (master->programs[i]->started && !holds(master->programs[i]))
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
        if (!program->started)
            continue;
        if (is_released(program)) {
            if (!program->done)
                return false;
            continue;
        }
        if (first && program_config(program)->priority != program_config(first)->priority)
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
    set_state(reload, RELOAD_ROLLING_BACK);
    for (size_t i = 0; i < master->n_programs; i++)
        if (master->programs[i]->started)
            program_roll_back(master->programs[i]);
    return true;
}

static void commit(struct master *master)
{
    struct reload *reload = &master->reload;
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        if (program->target)
            program_commit(program);
    }
    (void)config_unref(master->previous_config);
    master->previous_config = master->config;
    master->config = config_ref(reload->config);
    master_sort_programs(master);
    CLEANUP_FREE char *error = NULL;
    if (master_apply_log(master->config, master->options.journal, &error) < 0)
        log_error("%s; logging goes on as before", error ? error : "log");
    watching_update(master->watching, reload->running.began_usec);
    finish(master, RELOAD_COMMITTED);
}

static enum reload_result roll_back_result(const struct master *master)
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (master->programs[i]->started && master->programs[i]->degraded)
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
        set_state(reload, RELOAD_ROLLING);
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
