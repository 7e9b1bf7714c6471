/* What an operator wishes of a program, beside its configuration. */
#include "program/internal.h"

void program_halt(struct program *program)
{
    program->halted = true;
    program->resumes = false;
    program->started = false;
    program_leave_rollout(program);
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
