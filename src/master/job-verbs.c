/* What start, stop and restart do with a target, and when each is over. */
#include "master/job.h"

#include "base/log.h"
#include "base/macros.h"
#include "base/strv.h"
#include "master/master.h"

#include <string.h>

static struct slot *find_slot(const struct program *program, const struct job_target *target)
{
    size_t number = (size_t)target->target.slot;
    return target->target.slot >= 0 && number < program->n_slots ? program->slots[number] : NULL;
}

static bool is_whole(const struct job_target *target)
{
    return target->target.slot < 0;
}

/* Start */

enum progress { COMING, THERE, EXITED, FAILED, NOBODY };

static enum progress look_at_start(const struct slot *slot)
{
    switch (slot_get_state(slot)) {
    case SLOT_READY:
        return THERE;
    case SLOT_EXITED:
        return EXITED;
    case SLOT_FATAL:
    case SLOT_BACKOFF:
        return FAILED;
    case SLOT_STARTING:
    case SLOT_DRAINING:
    case SLOT_STOPPING:
        return slot->held ? NOBODY : COMING;
    case SLOT_STOPPED:
        /* One that was never filled yet is about to be. */
        return slot->held ? NOBODY : COMING;
    }
    return COMING;
}

static void fail_start(struct job_target *target, const struct slot *slot)
{
    job_end_target(target, "failed",
                   slot->start_failure ? strdup(slot->start_failure)
                                       : string_format("slot %u was given up", slot->number));
}

struct count {
    size_t coming, there, exited, nobody;
    const struct slot *failed; /* one of them */
};

static struct count count_starts(const struct program *program, const struct job_target *target)
{
    struct count count = {0};
    for (size_t i = 0; i < program->n_slots && i < program_wanted(program); i++) {
        if (!is_whole(target) && i != (size_t)target->target.slot)
            continue;
        enum progress progress = look_at_start(program->slots[i]);
        count.coming += progress == COMING;
        count.there += progress == THERE;
        count.exited += progress == EXITED;
        count.nobody += progress == NOBODY;
        if (progress == FAILED)
            count.failed = program->slots[i];
    }
    return count;
}

static void judge_start(struct job_target *target, const struct program *program)
{
    const struct slot *slot = find_slot(program, target);
    if (program->resumes)
        return;
    if (!program->started || (slot && slot->held)) {
        job_end_target(target, "failed", strdup("it was stopped meanwhile"));
        return;
    }
    const struct count count = count_starts(program, target);
    if (count.failed)
        fail_start(target, count.failed);
    else if (count.coming == 0)
        job_end_target(target,
                       target->was_so                         ? "already_started"
                       : count.exited > 0 && count.there == 0 ? "exited"
                                                              : "started",
                       NULL);
}

static void begin_start(struct job_target *target, struct program *program)
{
    struct slot *slot = find_slot(program, target);
    const struct count count = count_starts(program, target);
    target->was_so = program->started && count.there > 0 && count.coming == 0 &&
                     count.exited + count.nobody == 0 && !count.failed && (!slot || !slot->held);
    if (target->was_so)
        return;
    if (is_whole(target))
        program_resume(program);
    else if (!program->started)
        program_resume_slot(program, (unsigned)target->target.slot);
    else if (slot)
        slot_release(slot);
}

/* Stop */

static void judge_stop(struct job_target *target, const struct program *program)
{
    const struct slot *slot = find_slot(program, target);
    bool wanted = is_whole(target) ? program->started || program->resumes
                                   : program->started && slot && !slot->held;
    bool empty = is_whole(target) ? program_is_empty(program) : !slot || slot_is_vacant(slot);
    if (wanted)
        job_end_target(target, "failed", strdup("it was started meanwhile"));
    else if (empty)
        job_end_target(target, target->was_so ? "already_stopped" : "stopped", NULL);
}

static void begin_stop(const struct job *job, struct job_target *target, struct program *program)
{
    struct slot *slot = find_slot(program, target);
    if (is_whole(target)) {
        target->was_so = !program->started && program_is_empty(program);
        program_halt(program, job->force);
    } else if (slot) {
        target->was_so = (slot->held || !program->started) && slot_is_vacant(slot);
        slot_hold(slot, job->force);
    } else {
        target->was_so = true;
    }
}

/* Restart */

static void begin_restart(struct job_target *target, struct program *program)
{
    struct slot *slot = find_slot(program, target);
    if (!program->started || !slot || !slot->current) {
        begin_start(target, program);
        target->was_so = false;
        return;
    }
    target->worker_id = slot->current->id;
    slot_begin_anew(slot);
    slot_wear(slot, "restart");
}

/*
 * Whole programs that serve are restarted by a reload, one for all; see job_begin_restart(). Those that do not come up anyway would only make it
 * fail for the others.
 */
static bool is_for_reload(const struct job_target *target, const struct program *program)
{
    return is_whole(target) && program->started && program_count_ready(program) > 0;
}

void job_begin_restart(struct master *master, struct job *job)
{
    CLEANUP_STRV char **names = NULL;
    uint64_t id = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < job->n_targets; i++)
        if (job->targets[i].reload_id == UINT64_MAX)
            r = strv_append(&names, job->targets[i].target.program);
    if (r == 0 && !names)
        return;
    const struct reload_wish wish = {.kind = RELOAD_RESTART, .programs = names};
    if (r == 0)
        r = master_reload(master, &wish, &job->cause, &id);
    for (size_t i = 0; i < job->n_targets; i++) {
        if (job->targets[i].reload_id != UINT64_MAX)
            continue;
        job->targets[i].reload_id = id;
        if (r < 0)
            job_end_target(&job->targets[i], "failed", strdup(strerror(-r)));
    }
}

/* It is done for all, but not where a slot stays FATAL. Borrowed; NULL: all of the program came up. */
static const char *find_fatal(const struct reload_record *record, const char *name)
{
    json_t *program;
    size_t i;
    json_array_foreach(record->programs, i, program)
    {
        const char *its = json_string_value(json_object_get(program, "name"));
        if (its && strcmp(its, name) == 0)
            return json_string_value(json_object_get(program, "reason"));
    }
    return NULL;
}

static void judge_reload(const struct master *master, struct job_target *target)
{
    const struct reload_record *record = reload_find(&master->reload, target->reload_id);
    if (!record && reload_is_pending(&master->reload, target->reload_id))
        return;
    if (!record) {
        job_end_target(target, "failed",
                       strdup("its reload has ended, and so many others after it that its result "
                              "is not known any more"));
        return;
    }
    bool committed = record->result == RELOAD_COMMITTED;
    const char *reason = committed ? find_fatal(record, target->target.program) : record->reason;
    job_end_target(target,
                   committed && !reason                  ? "restarted"
                   : record->result == RELOAD_SUPERSEDED ? "superseded"
                                                         : "failed",
                   reason ? strdup(reason) : NULL);
}

static void judge_restart(const struct master *master, struct job_target *target,
                          struct program *program)
{
    struct slot *slot = find_slot(program, target);
    if (target->reload_id != 0 && program->halted) {
        job_end_target(target, "failed", strdup("it was stopped meanwhile"));
        return;
    }
    if (target->reload_id != 0) {
        judge_reload(master, target);
        return;
    }
    if (target->worker_id == 0) {
        judge_start(target, program);
        if (target->result && strcmp(target->result, "started") == 0)
            target->result = "restarted";
        return;
    }
    if (!slot || slot->held || !program->started) {
        job_end_target(target, "failed", strdup("it was stopped meanwhile"));
        return;
    }
    const struct worker *current = slot->current;
    if (current && current->id != target->worker_id && current->state == WORKER_READY)
        job_end_target(target, "restarted", NULL);
    else if (slot->start_failure) {
        fail_start(target, slot);
        slot_spare(slot);
    }
}

void job_begin_target(struct job *job, struct job_target *target, struct program *program)
{
    switch (job->verb) {
    case JOB_START:
        begin_start(target, program);
        break;
    case JOB_STOP:
        begin_stop(job, target, program);
        break;
    case JOB_RESTART:
        if (is_for_reload(target, program))
            target->reload_id = UINT64_MAX;
        else
            begin_restart(target, program);
        break;
    }
}

void job_judge_target(struct master *master, struct job *job, struct job_target *target,
                      struct program *program)
{
    switch (job->verb) {
    case JOB_START:
        judge_start(target, program);
        break;
    case JOB_STOP:
        judge_stop(target, program);
        break;
    case JOB_RESTART:
        judge_restart(master, target, program);
        break;
    }
}
