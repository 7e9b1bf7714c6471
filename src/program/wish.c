/* What an operator wishes of a program, beside its configuration. */
#include "program/internal.h"

#include "base/log.h"

static void stop_slot(struct slot *slot)
{
    if (slot->current)
        worker_stop(slot->current, "stop");
    if (slot->successor)
        worker_stop(slot->successor, "stop");
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        worker_stop(worker, "stop");
}

void program_halt(struct program *program, bool force)
{
    program->halted = true;
    program->resumes = false;
    program->started = false;
    program_leave_rollout(program);
    /* It is back already: the reload waits for others only. */
    if (!program->target)
        program->takes_part = false;
    for (size_t i = 0; force && i < program->n_slots; i++)
        stop_slot(program->slots[i]);
    program_mark(program);
}

void program_resume(struct program *program)
{
    program->halted = false;
    for (size_t i = 0; i < program->n_slots; i++)
        slot_release(program->slots[i]);
    /* Which generation it will be the reload that runs has to tell first. */
    program->resumes = !program->started && program->target;
    if (!program->started && !program->resumes)
        program_start(program);
}

void program_resume_slot(struct program *program, unsigned slot)
{
    program_resume(program);
    /* Where it has to wait for the end of a reload, the others are to be held from then on. */
    if (program_grow_slots(program, program_max_workers(program)) < 0)
        log_about(program_subject(program), LOG_LEVEL_ERROR, "out of memory for its slots");
    for (size_t i = 0; i < program->n_slots; i++)
        if (i != slot)
            slot_hold(program->slots[i], false);
}

void slot_hold(struct slot *slot, bool force)
{
    slot->held = true;
    program_look_for_canary(slot->program);
    if (force)
        stop_slot(slot);
    program_mark(slot->program);
}

void slot_begin_anew(struct slot *slot)
{
    slot->history = (struct restart_history){0};
    slot->over_generation = 0;
    slot->fatal = slot->fatal_untold = slot->stays_fatal = false;
    slot->backoff_until_usec = 0;
    slot->start_failure = (free(slot->start_failure), NULL);
}

void slot_release(struct slot *slot)
{
    slot->held = false;
    slot_begin_anew(slot);
    program_mark(slot->program);
}

void slot_wear(struct slot *slot, const char *reason)
{
    if (!slot->current || slot->current->worn)
        return;
    slot->current->worn = reason;
    program_mark(slot->program);
}

void slot_spare(struct slot *slot)
{
    if (slot->current)
        slot->current->worn = NULL;
    program_mark(slot->program);
}
