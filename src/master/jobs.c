#include "master/jobs.h"

#include "base/log.h"
#include "base/macros.h"
#include "master/event.h"
#include "master/job.h"
#include "master/master.h"
#include "master/programs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *job_verb_to_string(enum job_verb verb)
{
    switch (verb) {
    case JOB_START:
        return "start";
    case JOB_STOP:
        return "stop";
    case JOB_RESTART:
        return "restart";
    }
    return "?";
}

/* Life */

static struct job *job_free(struct job *job)
{
    for (size_t i = 0; i < job->n_targets; i++) {
        free(job->targets[i].target.program);
        free(job->targets[i].reason);
    }
    free(job->targets);
    free(job);
    return NULL;
}

void jobs_init(struct jobs *jobs)
{
    list_init(&jobs->list);
}

void jobs_clear(struct jobs *jobs)
{
    LIST_FOREACH_SAFE (job, &jobs->list, struct job, link) {
        list_remove(&job->link);
        (void)job_free(job);
    }
    jobs->n = 0;
}

static unsigned priority_of(const struct master *master, const struct target *target)
{
    const struct program *program = master_find_program(master, target->program);
    return program ? program_config(program)->priority : 0;
}

/* Takes over the names of the targets. */
static int job_make(struct master *master, enum job_verb verb, const struct target *targets,
                    size_t n, struct job **ret)
{
    struct job *job = calloc(1, sizeof(*job));
    if (job)
        job->targets = calloc(n + 1, sizeof(*job->targets));
    if (!job || !job->targets) {
        free(job);
        return -ENOMEM;
    }
    job->verb = verb;
    job->n_targets = n;
    for (size_t i = 0; i < n; i++)
        job->targets[i] = (struct job_target){.target = targets[i],
                                              .priority = priority_of(master, &targets[i])};
    job->id = ++master->jobs.last_id;
    list_append(&master->jobs.list, &job->link);
    master->jobs.n++;
    master_wake(master);
    *ret = job;
    return 0;
}

int job_new(struct master *master, const struct job_wish *wish, uint64_t *ret_id,
            const char **ret_name)
{
    struct target *targets = NULL;
    struct job *job = NULL;
    size_t n = 0;
    if (master_get_state(master) == MASTER_STOPPING)
        return -ESHUTDOWN;
    if (master->jobs.n >= JOBS_MAX)
        return -EBUSY;
    int r = targets_find(master, wish->names, &targets, &n, ret_name);
    if (r < 0)
        return r;
    r = job_make(master, wish->verb, targets, n, &job);
    if (r < 0) {
        targets_free(targets, n);
        return r;
    }
    free(targets);
    job->force = wish->force;
    job->cause = *wish->cause;
    *ret_id = job->id;
    return 0;
}

int jobs_boot(struct master *master)
{
    struct target *targets = calloc(master->n_programs + 1, sizeof(*targets));
    struct job *job = NULL;
    size_t n = 0;
    int r = targets ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < master->n_programs; i++) {
        if (!program_config(master->programs[i])->autostart)
            continue;
        targets[n] = (struct target){.program = strdup(master->programs[i]->name), .slot = -1};
        r = targets[n++].program ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = job_make(master, JOB_START, targets, n, &job);
    if (r < 0) {
        if (targets)
            targets_free(targets, n);
        return r;
    }
    free(targets);
    job->boot = true;
    return 0;
}

/* What is told */

static json_t *target_to_json(const struct job_target *target)
{
    json_t *json = json_pack("{s:s, s:s*, s:s*}", "program", target->target.program, "result",
                             target->result, "reason", target->reason);
    if (json && target->target.slot >= 0)
        (void)json_object_set_new(json, "slot", json_integer(target->target.slot));
    return json;
}

/* To whom it belongs it is told in the loop's next turn: by then who asked knows its id. */
static void publish_begin(struct master *master, struct job *job)
{
    job->told = true;
    if (!event_bus_is_heard(&master->events))
        return;
    json_t *targets = json_array();
    for (size_t i = 0; i < job->n_targets; i++)
        (void)json_array_append_new(targets, target_to_json(&job->targets[i]));
    event_bus_publish(&master->events, EVENT_JOB,
                      json_pack("{s:I, s:s, s:s, s:o}", "id", (json_int_t)job->id, "verb",
                                job_verb_to_string(job->verb), "state", "began", "targets",
                                targets));
}

static void publish_target(struct master *master, const struct job *job,
                           const struct job_target *target)
{
    if (event_bus_is_heard(&master->events))
        event_bus_publish(&master->events, EVENT_JOB,
                          json_pack("{s:I, s:s, s:s, s:o}", "id", (json_int_t)job->id, "verb",
                                    job_verb_to_string(job->verb), "state", "progress", "target",
                                    target_to_json(target)));
}

static void publish_end(struct master *master, const struct job *job)
{
    if (!event_bus_is_heard(&master->events))
        return;
    json_t *results = json_array();
    for (size_t i = 0; i < job->n_targets; i++)
        (void)json_array_append_new(results, target_to_json(&job->targets[i]));
    event_bus_publish(&master->events, EVENT_JOB,
                      json_pack("{s:I, s:s, s:s, s:o}", "id", (json_int_t)job->id, "verb",
                                job_verb_to_string(job->verb), "state", "ended", "results",
                                results));
}

void job_end_target(struct job_target *target, const char *result, char *reason)
{
    target->result = result;
    target->reason = reason;
}

/* Order */

static struct program *find_program(const struct master *master, const struct job_target *target)
{
    return master_find_program(master, target->target.program);
}

/* Does priority `a` come before `b`? */
static bool comes_before(enum job_verb verb, unsigned a, unsigned b)
{
    switch (verb) {
    case JOB_START:
        return a < b;
    case JOB_STOP:
        return a > b;
    case JOB_RESTART:
        return false;
    }
    return false;
}

/* The priority whose turn it is: the first of those that are not done. A job that is over has none left to begin. */
static unsigned find_turn(const struct job *job)
{
    const struct job_target *first = NULL;
    for (size_t i = 0; i < job->n_targets; i++) {
        const struct job_target *target = &job->targets[i];
        if (!target->result &&
            (!first || comes_before(job->verb, target->priority, first->priority)))
            first = target;
    }
    return first ? first->priority : 0;
}

static void judge(struct master *master, struct job *job, struct job_target *target)
{
    if (target->result)
        return;
    struct program *program = find_program(master, target);
    if (!program)
        job_end_target(target, "failed", strdup("it is not there any more"));
    else if (target->begun)
        job_judge_target(master, job, target, program);
    if (target->result)
        publish_target(master, job, target);
}

static void log_request(const struct job *job, const struct job_target *target)
{
    char slot[32] = "", cause[RELOAD_CAUSE_TEXT_SIZE];
    if (job->boot)
        return;
    if (target->target.slot >= 0)
        (void)snprintf(slot, sizeof(slot), " of slot %d", target->target.slot);
    log_about((struct log_subject){.program = target->target.program}, LOG_LEVEL_INFO,
              "%s%s%s, asked for by %s", job->force ? "forced " : "", job_verb_to_string(job->verb),
              slot, reload_cause_to_text(&job->cause, cause));
}

/* False: nothing is to be begun. */
static bool begin(struct master *master, struct job *job, struct job_target *target)
{
    if (target->result || target->begun)
        return false;
    struct program *program = find_program(master, target);
    if (!program)
        return false;
    target->begun = true;
    log_request(job, target);
    job_begin_target(job, target, program);
    return true;
}

static bool step(struct master *master, struct job *job)
{
    bool begun = false;
    if (!job->told)
        publish_begin(master, job);
    for (size_t i = 0; i < job->n_targets; i++)
        judge(master, job, &job->targets[i]);
    unsigned turn = find_turn(job);
    for (size_t i = 0; i < job->n_targets; i++)
        if (!comes_before(job->verb, turn, job->targets[i].priority))
            begun = begin(master, job, &job->targets[i]) || begun;
    if (begun && job->verb == JOB_RESTART)
        job_begin_restart(master, job);
    return begun;
}

static bool is_over(const struct job *job)
{
    for (size_t i = 0; i < job->n_targets; i++)
        if (!job->targets[i].result)
            return false;
    return true;
}

static void end(struct master *master, struct job *job)
{
    publish_end(master, job);
    list_remove(&job->link);
    master->jobs.n--;
    (void)job_free(job);
}

bool jobs_step(struct master *master)
{
    bool begun = false;
    LIST_FOREACH_SAFE (job, &master->jobs.list, struct job, link) {
        begun = step(master, job) || begun;
        if (is_over(job))
            end(master, job);
    }
    return begun;
}

void jobs_hurry(struct master *master)
{
    LIST_FOREACH (job, &master->jobs.list, struct job, link)
        for (size_t i = 0; job->verb == JOB_START && i < job->n_targets; i++)
            (void)begin(master, job, &job->targets[i]);
}

bool jobs_are_booting(const struct master *master)
{
    LIST_FOREACH (job, &master->jobs.list, struct job, link)
        for (size_t i = 0; job->boot && i < job->n_targets; i++)
            if (!job->targets[i].begun && !job->targets[i].result)
                return true;
    return false;
}

const char *jobs_awaited_by(const struct master *master, const char *program)
{
    LIST_FOREACH (job, &master->jobs.list, struct job, link) {
        const struct job_target *first = NULL;
        bool waits = false;
        for (size_t i = 0; job->verb == JOB_START && i < job->n_targets; i++) {
            const struct job_target *target = &job->targets[i];
            if (target->begun && !target->result && !first)
                first = target;
            if (!target->begun && !target->result)
                waits |= strcmp(target->target.program, program) == 0;
        }
        if (waits && first)
            return first->target.program;
    }
    return NULL;
}

void jobs_abandon(struct master *master)
{
    LIST_FOREACH_SAFE (job, &master->jobs.list, struct job, link) {
        for (size_t i = 0; i < job->n_targets; i++)
            if (!job->targets[i].result)
                job_end_target(&job->targets[i], "failed", strdup("the master is shutting down"));
        end(master, job);
    }
}
