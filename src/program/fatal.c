/*
 * What was FATAL before a reload, and may be so behind it.
 *
 * A reload tries it again, as its files may have been mended. Where its configuration stays, a failure is no news, and nobody else's
 * configuration has to wait for it: the slot is closed for the rest of the reload, in both generations, and the commit carries that on.
 * A canary's failure stands for all slots if all of them were FATAL. Else it goes to the next slot, and in the end to one that serves.
 *
 * Where another program fails, who came up goes back to what did not: that is tried, too, and FATAL again is where it was.
 */
#include "program/internal.h"

#include "base/strv.h"

#include <string.h>

static bool has_ready(const struct slot *slot)
{
    return (slot->current && slot->current->state == WORKER_READY) ||
           (slot->successor && slot->successor->state == WORKER_READY);
}

static bool is_fatal(const struct slot *slot)
{
    return slot->fatal && slot->over_generation > 0 && !slot->held && !has_ready(slot) &&
           slot->over_generation == slot->program->committed->number;
}

void program_expect_fatal(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        program->slots[i]->was_fatal = is_fatal(program->slots[i]);
}

static void stay_fatal(struct slot *slot)
{
    slot->stays_fatal = slot->fatal = true;
    slot->over_generation = slot->program->committed->number;
    slot->backoff_until_usec = 0;
}

/* One that is still tried on a way back that ends here is what it was. */
void program_forget_fatal(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++) {
        struct slot *slot = program->slots[i];
        if (slot->was_fatal && program->phase == ROLLOUT_ROLLING_BACK && !has_ready(slot))
            stay_fatal(slot);
        slot->was_fatal = slot->stays_fatal = false;
    }
    program->fatal_failure = (free(program->fatal_failure), NULL);
}

static bool all_were_fatal(const struct program *program)
{
    for (size_t i = 0; i < program->n_slots && i < program->target->program->workers; i++)
        if (!program->slots[i]->was_fatal && !program->slots[i]->held)
            return false;
    return true;
}

bool slot_may_stay_fatal(const struct slot *slot)
{
    return slot->was_fatal && slot->program->phase != ROLLOUT_IDLE;
}

void slot_stay_fatal(struct slot *slot, char *reason)
{
    struct program *program = slot->program;
    bool for_all = program->phase == ROLLOUT_CANARY && all_were_fatal(program);
    for (size_t i = 0; i < program->n_slots; i++)
        if (program->slots[i] == slot || (for_all && program->slots[i]->was_fatal))
            stay_fatal(program->slots[i]);
    if (reason)
        string_make_utf8(reason);
    const char *how = reason ? strchr(reason, ' ') : NULL;
    slot_note_end(slot, how ? strdup(how + 1) : NULL);
    slot->fatal_untold = true;
    if (program->fatal_failure)
        free(reason);
    else
        program->fatal_failure = reason;
    program->canary_proven = program->canary_proven && program->phase != ROLLOUT_CANARY;
    program_look_for_canary(program);
    program_mark(program);
}

void program_commit_fatal(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        if (program->slots[i]->stays_fatal)
            program->slots[i]->over_generation = program->committed->number;
}

/* Who came up, or was started by its operator, is tried. Who did not is as it was. */
void program_roll_back_fatal(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++) {
        struct slot *slot = program->slots[i];
        if (slot->was_fatal && (has_ready(slot) || !slot->fatal))
            slot->over_generation = 0;
        else if (slot->was_fatal)
            stay_fatal(slot);
    }
}

void program_end_roll_back_fatal(struct program *program)
{
    for (size_t i = 0; i < program->n_slots; i++)
        program->slots[i]->was_fatal = program->slots[i]->stays_fatal = false;
}

static size_t count_fatal(const struct program *program, size_t *ret_wanted)
{
    size_t n = 0;
    *ret_wanted = 0;
    for (size_t i = 0; i < program->n_slots && i < program_wanted(program); i++) {
        n += program->slots[i]->stays_fatal && !program->slots[i]->held;
        *ret_wanted += !program->slots[i]->held;
    }
    return n;
}

bool program_stays_fatal(const struct program *program)
{
    size_t wanted, n = count_fatal(program, &wanted);
    return n > 0 && n == wanted;
}

char *program_fatal_text(const struct program *program)
{
    const char *reason = program->fatal_failure ? program->fatal_failure : "no memory";
    size_t wanted, n = count_fatal(program, &wanted);
    if (n == 0)
        return NULL;
    return n == wanted ? string_format("FATAL as before: %s", reason)
                       : string_format("%zu of %zu slots FATAL as before: %s", n, wanted, reason);
}
