/*
 * Who takes part in a reload, and what their workers will be made of.
 *
 * Besides those that are asked for, these are: programs that the configuration adds, and programs in the middle of a reload that this
 * one supersedes, as they have to end up somewhere.
 */
#include "master/reload.h"

#include "base/strv.h"
#include "master/master.h"
#include "master/programs.h"
#include "master/sockets.h"

#include <errno.h>
#include <string.h>

static bool is_asked_for(const struct reload_request *request,
                         const struct config_program_change *change)
{
    return request->all || (request->changed_only && change->rolls) ||
           strv_contains(request->programs, change->to->name);
}

static bool is_entangled(const struct program *program)
{
    return program && program->takes_part;
}

static struct generation *find_undone(const struct master *master, const char *name)
{
    for (size_t i = 0; i < master->undo.n; i++)
        if (strcmp(master->undo.generations[i]->program->name, name) == 0)
            return master->undo.generations[i];
    return NULL;
}

struct making {
    struct master *master;
    struct reload_candidate *candidate;
    const struct config_program_change *change;
    struct program *program; /* NULL: it is not there yet */
    uint64_t number;         /* of the new generation */
};

static int make_new(const struct making *making, struct generation **ret, char **ret_reason)
{
    const struct master *master = making->master;
    return generation_new(making->candidate->release.config, making->change->to, making->number,
                          making->program ? making->program->committed : NULL,
                          master->options.environment, ret, ret_reason);
}

/* The same once more, or where it was going, unless that failed. */
static int go_on(const struct making *making, struct generation **ret)
{
    const struct program *program = making->program;
    bool forwards = program->target && making->master->reload.state != RELOAD_ROLLING_BACK &&
                    making->candidate->request.kind != RELOAD_READ &&
                    making->candidate->request.kind != RELOAD_UNDO;
    return generation_again(forwards ? program->target : program->committed, making->number, ret);
}

/* 0, without a generation where it takes no part. */
static int make_generation(const struct making *making, struct generation **ret, char **ret_reason)
{
    struct reload_candidate *candidate = making->candidate;
    const struct reload_request *request = &candidate->request;
    bool asked = is_asked_for(request, making->change) || !making->program;
    bool entangled = is_entangled(making->program);
    CLEANUP(generation_unrefp) struct generation *generation = NULL;
    candidate->is_entangled = candidate->is_entangled || entangled;
    int r = 0;
    switch (request->kind) {
    case RELOAD_UNDO: {
        const struct generation *undone = find_undone(making->master, making->change->to->name);
        if (undone)
            r = generation_again(undone, making->number, &generation);
        else if (!making->program)
            r = make_new(making, &generation, ret_reason);
        else if (entangled)
            r = go_on(making, &generation);
        break;
    }
    case RELOAD_CURRENT:
        if (asked)
            r = make_new(making, &generation, ret_reason);
        else if (entangled)
            r = go_on(making, &generation);
        break;
    case RELOAD_RESTART:
        if (!making->program)
            r = make_new(making, &generation, ret_reason);
        else if (asked || entangled)
            r = go_on(making, &generation);
        break;
    case RELOAD_SCALE:
        if (asked && making->program)
            r = generation_scaled(making->program->committed, candidate->release.config,
                                  making->change->to, &generation);
        break;
    case RELOAD_READ:
        if (asked || entangled || request->changed_only)
            r = make_new(making, &generation, ret_reason);
        if (r == 0 && generation && !asked && !entangled &&
            generation_is_same(making->program->committed, generation))
            generation = generation_unref(generation);
        break;
    }
    if (r == 0)
        *ret = TAKE_PTR(generation);
    return r;
}

/*
 * Not just one that nobody has ever heard of: one that was not to be started, and now is, has no workers to go back to. And one that a superseded
 * reload is adding was never in force: whether it is to be started is asked anew.
 */
static bool is_to_be_added(const struct making *making)
{
    const struct config_program_change *change = making->change;
    const struct program *program = making->program;
    if (!program)
        return true;
    if (program->is_new)
        return program->started != change->to->autostart;
    return !program->started && change->from && !change->from->autostart && change->to->autostart;
}

/* Nothing changes for those that are there, or sockets alone were added and they wait for such: nobody need be replaced. */
static bool is_to_adopt(const struct making *making, const struct generation *generation)
{
    const struct reload_request *request = &making->candidate->request;
    const struct config_program_change *change = making->change;
    if (request->kind == RELOAD_SCALE)
        return true;
    return request->kind == RELOAD_READ && !request->all && change->only_more_sockets &&
           !strv_contains(request->programs, change->to->name) &&
           (change->from->handoff & CONFIG_HANDOFF_SCM_RIGHTS) && making->program &&
           !is_entangled(making->program) && program_can_adopt(making->program) &&
           generation_is_same(making->program->committed, generation);
}

/* Takes over the generation. */
static int add_part(struct reload_candidate *candidate, const char *name,
                    struct generation *generation, struct reload_part **ret)
{
    struct reload_part *larger = reallocarray(candidate->parts, candidate->n_parts + 1,
                                              sizeof(*larger));
    if (larger)
        candidate->parts = larger;
    char *copy = larger ? strdup(name) : NULL;
    if (!copy) {
        (void)generation_unref(generation);
        return -ENOMEM;
    }
    *ret = &larger[candidate->n_parts++];
    **ret = (struct reload_part){.program = copy, .generation = generation};
    return 0;
}

static int make_part(struct master *master, struct reload_candidate *candidate,
                     const struct config_program_change *change, char **ret_reason)
{
    struct program *program = master_find_program(master,
                                                  (change->from ? change->from : change->to)->name);
    const struct making making = {.master = master,
                                  .candidate = candidate,
                                  .change = change,
                                  .program = program,
                                  .number = program ? program->last_generation + 1 : 1};
    struct generation *generation = NULL;
    struct reload_part *part = NULL;
    int r = make_generation(&making, &generation, ret_reason);
    if (r < 0 || !generation)
        return r;
    r = sockets_hand(&candidate->release, change->to, generation);
    if (r < 0) {
        (void)generation_unref(generation);
        return r;
    }
    r = add_part(candidate, program ? program->name : change->to->name, generation, &part);
    if (r < 0)
        return r;
    part->is_named = true;
    part->is_adopted = is_to_adopt(&making, generation);
    part->is_checked = candidate->request.kind < RELOAD_RESTART && !part->is_adopted &&
                       generation->program->reload.check_command;
    return is_to_be_added(&making)
               ? master_make_program(master, candidate->release.config, change->to, &part->added)
               : 0;
}

/* The configuration does not have it any more, and a reload that is superseded was at it: it is made whole again first. */
static int leave_part(struct master *master, struct reload_candidate *candidate,
                      const struct config_program_change *change)
{
    struct program *program = master_find_program(master, change->from->name);
    struct generation *generation = NULL;
    struct reload_part *part;
    if (!is_entangled(program) || program->is_new)
        return 0;
    candidate->is_entangled = true;
    int r = generation_again(program->committed, program->last_generation + 1, &generation);
    if (r < 0)
        return r;
    r = generation_hand(generation, program->committed->listeners);
    if (r < 0) {
        (void)generation_unref(generation);
        return r;
    }
    return add_part(candidate, program->name, generation, &part);
}

int reload_make_parts(struct master *master, struct reload_candidate *candidate, char **ret_reason)
{
    const struct config_diff *diff = candidate->diff;
    for (size_t i = 0; i < diff->n_programs; i++) {
        const struct config_program_change *change = &diff->programs[i];
        int r = change->fate == CONFIG_REMOVED ? leave_part(master, candidate, change)
                                               : make_part(master, candidate, change, ret_reason);
        if (r < 0)
            return r;
    }
    return master_reserve_programs(master, candidate->n_parts);
}
