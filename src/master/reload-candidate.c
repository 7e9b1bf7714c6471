/*
 * A reload before it touches anything: reading, validating, making generations, binding, and running each program's
 * check_command. What comes out is a candidate; until it is taken, a reload that runs goes on.
 */
#include "master/reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/master.h"
#include "worker/check.h"

#include <errno.h>
#include <string.h>

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

static int make_generation(struct master *master, enum reload_kind kind, struct config *config,
                           const struct program *program, struct generation **ret,
                           char **ret_reason)
{
    uint64_t number = program->last_generation + 1;
    switch (kind) {
    case RELOAD_READ:
        return generation_new(config, find_program(config, program->name), number,
                              program->committed, master->options.environment, ret, ret_reason);
    case RELOAD_UNDO:
        return generation_again(program->previous, number, ret);
    }
    return -EINVAL;
}

/* A target generation for each program, in the order of master->programs. */
static int make_generations(struct master *master, enum reload_kind kind, struct config *config,
                            struct generation ***ret, char **ret_reason)
{
    struct generation **generations = calloc(master->n_programs + 1, sizeof(struct generation *));
    if (!generations)
        return -ENOMEM;
    for (size_t i = 0; i < master->n_programs; i++) {
        int r = make_generation(master, kind, config, master->programs[i], &generations[i],
                                ret_reason);
        if (r == 0)
            r = master_hand_listeners(master, generations[i]);
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

static int get_config(struct master *master, enum reload_kind kind, struct config **ret,
                      char **ret_reason)
{
    switch (kind) {
    case RELOAD_READ:
        return config_load(master->options.source, ret, ret_reason);
    case RELOAD_UNDO:
        if (!master->previous_config) {
            *ret_reason = strdup("there is nothing to undo: no reload has committed yet");
            return -ENOENT;
        }
        *ret = config_ref(master->previous_config);
        return 0;
    }
    return -EINVAL;
}

/* All that can be refused at once is refused in here. */
static int prepare(struct master *master, struct reload_candidate *candidate, char **ret_reason)
{
    CLEANUP_CONFIG struct config *config = NULL;
    enum reload_kind kind = candidate->request.kind;
    int r = get_config(master, kind, &config, ret_reason);
    if (r < 0) {
        strip_newline(*ret_reason);
        return r;
    }
    *ret_reason = config_refuse_change(master->config, config);
    if (*ret_reason)
        return -EOPNOTSUPP;
    r = make_generations(master, kind, config, &candidate->generations, ret_reason);
    if (r < 0)
        return r;
    candidate->n_generations = master->n_programs;
    master_raise_nofile(master, config);
    r = master_grow_listeners(master, config, ret_reason);
    if (r == 0)
        candidate->config = TAKE_PTR(config);
    return r;
}

static void log_lines(uint64_t id, const char *prefix, const char *lines)
{
    while (*lines) {
        int length = (int)strcspn(lines, "\n");
        log_about(reload_subject(id, NULL), LOG_LEVEL_ERROR, "%s%.*s", prefix, length, lines);
        lines += length + (lines[length] == '\n');
    }
}

static void refuse(struct master *master, const struct reload_request *request, char *reason)
{
    log_about(reload_subject(request->id, NULL), LOG_LEVEL_ERROR,
              "reload %llu refused, nothing changed:", (unsigned long long)request->id);
    log_lines(request->id, "  ", reason ? reason : "out of memory");
    reload_end(master, request, RELOAD_REFUSED, reason);
    /* One that runs or is being checked goes on. */
    if (master->reload.running.id == 0 && master->reload.candidate.request.id == 0)
        master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_ENDED);
}

/* Checks */

static struct check *find_check(const struct reload *reload, const struct generation *generation)
{
    LIST_FOREACH (check, &reload->checks, struct check, link)
        if (check->generation == generation)
            return check;
    return NULL;
}

static void stop_checks(struct reload *reload)
{
    for (size_t i = 0; i < reload->candidate.n_generations; i++) {
        struct check *check = find_check(reload, reload->candidate.generations[i]);
        if (check)
            check_stop(check);
    }
}

static void free_gone_checks(struct reload *reload)
{
    LIST_FOREACH_SAFE (check, &reload->checks, struct check, link)
        if (check->gone)
            (void)check_free(check);
}

static void on_check_changed(struct check *check UNUSED, void *userdata)
{
    master_wake(userdata);
}

static int start_check(struct master *master, struct generation *generation, char **ret_reason)
{
    const struct check_params params = {
        .event = master->event,
        .reaper = master->reaper,
        .generation = generation,
        .nofile = &master->nofile,
        .changed = on_check_changed,
        .userdata = master,
    };
    struct check *check = NULL;
    CLEANUP_FREE char *error = NULL;
    int r = check_new(&params, &check, &error);
    if (r < 0) {
        *ret_reason = string_format("%s: %s", generation->program->name,
                                    error ? error : strerror(-r));
        return r;
    }
    list_append(&master->reload.checks, &check->link);
    return 0;
}

/* All at once: they take the time of the slowest. */
static int start_checks(struct master *master, char **ret_reason)
{
    const struct reload_candidate *candidate = &master->reload.candidate;
    bool any = false;
    /* It has served before. What it checks may have changed since, but that is not what is asked. */
    if (candidate->request.kind == RELOAD_UNDO)
        return 0;
    for (size_t i = 0; i < candidate->n_generations; i++) {
        if (!candidate->generations[i]->program->reload.check_command)
            continue;
        int r = start_check(master, candidate->generations[i], ret_reason);
        if (r < 0)
            return r;
        any = true;
    }
    if (any)
        event_bus_publish(
            &master->events, EVENT_RELOAD,
            json_pack("{s:I, s:s}", "id", (json_int_t)candidate->request.id, "state", "checking"));
    return 0;
}

/* The candidate */

void reload_candidate_clear(struct reload_candidate *candidate)
{
    free_generations(candidate->generations, candidate->n_generations);
    (void)config_unref(candidate->config);
    *candidate = (struct reload_candidate){0};
}

/* It comes to nothing: its checks are stopped, its new sockets closed. */
static void discard(struct master *master)
{
    stop_checks(&master->reload);
    reload_candidate_clear(&master->reload.candidate);
    master_trim_listeners(master);
}

void reload_drop_candidate(struct master *master, const char *by)
{
    struct reload_request request = master->reload.candidate.request;
    if (request.id == 0)
        return;
    log_about(reload_subject(request.id, NULL), LOG_LEVEL_INFO, "reload %llu superseded by %s",
              (unsigned long long)request.id, by);
    discard(master);
    reload_end(master, &request, RELOAD_SUPERSEDED, string_format("superseded by %s", by));
}

static void refuse_candidate(struct master *master, char *reason)
{
    struct reload_request request = master->reload.candidate.request;
    request.phase_usec[RELOAD_CHECKING] = clock_monotonic_usec() - request.began_usec -
                                          request.phase_usec[RELOAD_NONE];
    discard(master);
    refuse(master, &request, reason);
}

void reload_begin(struct master *master)
{
    struct reload *reload = &master->reload;
    struct reload_candidate candidate = {.request = reload->wanted};
    CLEANUP_FREE char *reason = NULL;
    reload->wanted = (struct reload_request){0};
    candidate.request.began_usec = clock_monotonic_usec();
    master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD_BEGAN);
    int r = prepare(master, &candidate, &reason);
    struct reload_request *request = &candidate.request;
    request->phase_usec[RELOAD_NONE] = clock_monotonic_usec() - request->began_usec;
    if (r < 0) {
        refuse(master, request, reason ? TAKE_PTR(reason) : strdup(strerror(-r)));
        reload_candidate_clear(&candidate);
        master_trim_listeners(master);
        return;
    }
    char by[64];
    (void)snprintf(by, sizeof(by), "reload %llu", (unsigned long long)request->id);
    reload_drop_candidate(master, by);
    reload->candidate = candidate;
    r = start_checks(master, &reason);
    if (r < 0)
        refuse_candidate(master, reason ? TAKE_PTR(reason) : strdup(strerror(-r)));
}

/* What the checks say so far; *ret_reason where they failed. */
static enum check_verdict judge(const struct reload *reload, char **ret_reason)
{
    enum check_verdict verdict = CHECK_PASSED;
    for (size_t i = 0; i < reload->candidate.n_generations; i++) {
        const struct generation *generation = reload->candidate.generations[i];
        const struct check *check = find_check(reload, generation);
        if (!check || check->verdict == CHECK_PASSED)
            continue;
        verdict = check->verdict;
        if (verdict == CHECK_FAILED) {
            *ret_reason = string_format("%s: %s", generation->program->name,
                                        check->failure ? check->failure : "check_command failed");
            return verdict;
        }
    }
    return verdict;
}

bool reload_candidate_step(struct master *master)
{
    struct reload *reload = &master->reload;
    struct reload_candidate *candidate = &reload->candidate;
    char *reason = NULL;
    enum check_verdict verdict = candidate->request.id ? judge(reload, &reason) : CHECK_RUNNING;
    switch (verdict) {
    case CHECK_RUNNING:
        break;
    case CHECK_PASSED:
        candidate->request.phase_usec[RELOAD_CHECKING] = clock_monotonic_usec() -
                                                         candidate->request.began_usec -
                                                         candidate->request.phase_usec[RELOAD_NONE];
        reload_take(master, candidate);
        break;
    case CHECK_FAILED:
        refuse_candidate(master, reason);
        break;
    }
    free_gone_checks(reload);
    return verdict != CHECK_RUNNING;
}

bool reload_has_checks(const struct reload *reload)
{
    return !list_is_empty(&reload->checks);
}
