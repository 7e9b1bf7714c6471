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
    case RELOAD_CANARIES:
        return "canaries";
    case RELOAD_ROLLING:
        return "rolling";
    case RELOAD_ROLLING_BACK:
        return "rolling_back";
    }
    return "?";
}

/* Log lines about a reload as a whole; `program` NULL: about all. */
static struct log_subject reload_subject(uint64_t id, const struct program *program)
{
    struct log_subject subject = {.reload = id};
    if (program) {
        subject.program = program->name;
        subject.generation = program->committed->number;
    }
    return subject;
}

static void log_lines(uint64_t id, const char *prefix, const char *lines)
{
    while (*lines) {
        int length = (int)strcspn(lines, "\n");
        log_about(reload_subject(id, NULL), LOG_LEVEL_ERROR, "%s%.*s", prefix, length, lines);
        lines += length + (lines[length] == '\n');
    }
}

static void refuse(struct master *master, uint64_t id, char *reason)
{
    log_about(reload_subject(id, NULL), LOG_LEVEL_ERROR,
              "reload %llu refused, nothing changed:", (unsigned long long)id);
    log_lines(id, "  ", reason ? reason : "out of memory");
    reload_end(master, id, RELOAD_REFUSED, reason, clock_monotonic_usec());
    if (master->reload.id == 0) /* one that runs goes on */
        master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_ENDED);
}

static void log_result(const struct master *master, enum reload_result result, uint64_t took_usec)
{
    unsigned long long id = master->reload.id;
    const char *reason = master->reload.reason ? master->reload.reason : "unknown reason";
    char took[DURATION_TEXT_SIZE];
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!program->started)
            continue;
        if (result == RELOAD_COMMITTED)
            log_about(reload_subject(id, program), LOG_LEVEL_INFO,
                      "reload %llu committed, generation %llu, %u workers, %s", id,
                      (unsigned long long)program->committed->number, program_wanted(program),
                      duration_to_text(took_usec, took));
        else if (program->degraded)
            log_about(reload_subject(id, program), LOG_LEVEL_ERROR,
                      "reload %llu degraded: %s; and the old generation does not start any more",
                      id, reason);
        else
            log_about(reload_subject(id, program), LOG_LEVEL_ERROR, "reload %llu rolled back: %s",
                      id, reason);
    }
}

/* The end of the one that runs. */
static void finish(struct master *master, enum reload_result result)
{
    struct reload *reload = &master->reload;
    log_result(master, result, clock_monotonic_usec() - reload->began_usec);
    reload_end(master, reload->id, result, TAKE_PTR(reload->reason), reload->began_usec);
    reload->id = 0;
    reload->state = RELOAD_NONE;
    reload->config = config_unref(reload->config);
    for (size_t i = 0; i < master->n_programs; i++)
        if (!master->programs[i]->started)
            program_forget_target(master->programs[i]);
    master_trim_listeners(master);
    master->gives_back = true;
    master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_ENDED);
}

static void supersede(struct master *master, const char *by)
{
    struct reload *reload = &master->reload;
    if (reload->id == 0)
        return;
    log_about(reload_subject(reload->id, NULL), LOG_LEVEL_INFO, "reload %llu superseded by %s",
              (unsigned long long)reload->id, by);
    char *reason = reload->reason
                       ? string_format("superseded by %s, while it was being rolled back: %s", by,
                                       reload->reason)
                       : string_format("superseded by %s", by);
    free(reload->reason);
    reload->reason = NULL;
    reload_end(master, reload->id, RELOAD_SUPERSEDED, reason, reload->began_usec);
    reload->id = 0;
    reload->state = RELOAD_NONE;
    reload->config = config_unref(reload->config);
}

uint64_t reload_want(struct master *master)
{
    struct reload *reload = &master->reload;
    if (reload->wanted_id == 0)
        reload->wanted_id = ++reload->last_id;
    return reload->wanted_id;
}

void reload_abandon(struct master *master)
{
    struct reload *reload = &master->reload;
    supersede(master, "a shutdown");
    if (reload->wanted_id != 0)
        reload_end(master, reload->wanted_id, RELOAD_SUPERSEDED, strdup("superseded by a shutdown"),
                   clock_monotonic_usec());
    reload->wanted_id = 0;
}

/* Beginning */

static const struct config_program *find_program(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_programs; i++)
        if (strcmp(config->programs[i]->name, name) == 0)
            return config->programs[i];
    return NULL;
}

static void free_generations(struct generation **generations, size_t n)
{
    for (size_t i = 0; generations && i < n; i++)
        (void)generation_unref(generations[i]);
    free(generations);
}

/* A target generation for each program, in the order of master->programs. */
static int make_generations(struct master *master, struct config *config, struct generation ***ret,
                            char **ret_reason)
{
    struct generation **generations = calloc(master->n_programs + 1, sizeof(struct generation *));
    if (!generations)
        return -ENOMEM;
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        int r = generation_new(config, find_program(config, program->name),
                               program->last_generation + 1, program->committed,
                               master->options.environment, &generations[i], ret_reason);
        if (r < 0) {
            free_generations(generations, master->n_programs);
            return r;
        }
    }
    *ret = generations;
    return 0;
}

static void strip_newline(char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
}

/* All that can be refused is refused in here; until it returns 0 nothing was touched. */
static int prepare(struct master *master, struct config **ret_config,
                   struct generation ***ret_generations, char **ret_reason)
{
    CLEANUP_CONFIG struct config *config = NULL;
    int r = config_load(master->options.source, &config, ret_reason);
    if (r < 0) {
        strip_newline(*ret_reason);
        return r;
    }
    *ret_reason = config_refuse_change(master->config, config);
    if (*ret_reason)
        return -EOPNOTSUPP;
    r = make_generations(master, config, ret_generations, ret_reason);
    if (r < 0)
        return r;
    master_raise_nofile(master, config);
    r = master_grow_listeners(master, config, ret_reason);
    if (r < 0) {
        master_trim_listeners(master);
        free_generations(*ret_generations, master->n_programs);
        return r;
    }
    *ret_config = TAKE_PTR(config);
    return 0;
}

static void publish_rollouts(struct master *master);

static void begin_programs(struct master *master, struct generation **generations)
{
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        program->told_step = NULL;
        if (program_begin(program, generations[i]) < 0)
            log_about(reload_subject(master->reload.id, program), LOG_LEVEL_ERROR,
                      "out of memory, it stays in its old generation");
    }
    publish_rollouts(master);
}

void reload_begin(struct master *master)
{
    struct reload *reload = &master->reload;
    uint64_t id = reload->wanted_id;
    reload->wanted_id = 0;
    struct config *config = NULL;
    struct generation **generations = NULL;
    CLEANUP_FREE char *reason = NULL;
    master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_BEGAN);
    int r = prepare(master, &config, &generations, &reason);
    if (r < 0) {
        refuse(master, id, reason ? TAKE_PTR(reason) : strdup(strerror(-r)));
        return;
    }
    char by[64];
    (void)snprintf(by, sizeof(by), "reload %llu", (unsigned long long)id);
    supersede(master, by);
    log_about(reload_subject(id, NULL), LOG_LEVEL_INFO, "reload %llu began",
              (unsigned long long)id);
    reload->id = id;
    reload->config = config;
    reload->began_usec = clock_monotonic_usec();
    reload->state = RELOAD_CANARIES;
    event_bus_publish(&master->events, EVENT_RELOAD,
                      json_pack("{s:I, s:s}", "id", (json_int_t)id, "state", "began"));
    begin_programs(master, generations);
    free_generations(generations, master->n_programs);
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
                                    (json_int_t)master->reload.id, "program", program->name, "step",
                                    step, "ready", (json_int_t)count_target_ready(program),
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
    log_about(reload_subject(reload->id, NULL), LOG_LEVEL_ERROR,
              "reload %llu failed, going back to the old generation: %s",
              (unsigned long long)reload->id, reload->reason ? reload->reason : "");
    reload->state = RELOAD_ROLLING_BACK;
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
    (void)config_unref(master->config);
    master->config = config_ref(reload->config);
    master_sort_programs(master);
    CLEANUP_FREE char *error = NULL;
    if (master_apply_log(master->config, &error) < 0)
        log_error("%s; logging goes on as before", error ? error : "log");
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
        return false;
    case RELOAD_CANARIES:
        if (failed)
            return begin_roll_back(master, failed);
        if (!all_started(master, is_proven))
            return false;
        reload->state = RELOAD_ROLLING;
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
    if (master->reload.state == RELOAD_NONE)
        return false;
    bool more = step(master);
    if (master->reload.state != RELOAD_NONE)
        publish_rollouts(master);
    return more;
}
