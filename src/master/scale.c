#include "master/scale.h"

#include "base/log.h"
#include "master/master.h"
#include "master/programs.h"

#include <errno.h>
#include <string.h>

static bool is_scaling(const struct reload_request *request, const char *program)
{
    return request->id != 0 && request->kind == RELOAD_SCALE &&
           strcmp(request->programs[0], program) == 0;
}

/* One that sets the number itself, or would be done away with. */
static bool reload_is_about(const struct reload *reload, const char *program)
{
    bool other = reload->wanted.id != 0 && !is_scaling(&reload->wanted, program);
    return other || reload->candidate.request.id != 0 || reload->running.id != 0;
}

static int64_t workers_now(const struct reload *reload, const struct config_program *program)
{
    return is_scaling(&reload->wanted, program->name) ? reload->wanted.workers : program->workers;
}

int master_scale(struct master *master, const struct scale_wish *wish,
                 const struct reload_cause *cause, uint64_t *ret_id)
{
    const struct config_program *program = config_find_program(master->release.config,
                                                               wish->program);
    if (!program)
        return -ENOENT;
    if (reload_is_about(&master->reload, wish->program))
        return -EBUSY;
    if (wish->workers < -CONFIG_WORKERS_MAX || wish->workers > CONFIG_WORKERS_MAX)
        return -ERANGE;
    int64_t workers = wish->workers + (wish->relative ? workers_now(&master->reload, program) : 0);
    if (workers < 1 || workers > CONFIG_WORKERS_MAX)
        return -ERANGE;
    char *names[] = {program->name, NULL};
    const struct reload_wish reload = {
        .kind = RELOAD_SCALE, .programs = names, .workers = (unsigned)workers};
    return master_reload(master, &reload, cause, ret_id);
}

static const char *find_first(const struct master *master)
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (!master->programs[i]->removed && master->programs[i]->started)
            return master->programs[i]->name;
    return NULL;
}

void master_scale_first(struct master *master, int by, const struct reload_cause *cause)
{
    const struct scale_wish wish = {.program = find_first(master), .relative = true, .workers = by};
    uint64_t id;
    if (!wish.program) {
        log_warning("no program runs whose number of workers could be changed");
        return;
    }
    int r = master_scale(master, &wish, cause, &id);
    const struct log_subject subject = {.program = wish.program};
    if (r == -EBUSY)
        log_about(subject, LOG_LEVEL_WARNING,
                  "the number of workers stays: a reload is about, which sets it");
    else if (r == -ERANGE)
        log_about(subject, LOG_LEVEL_WARNING, "the number of workers stays: it is from 1 to %d",
                  CONFIG_WORKERS_MAX);
    else if (r < 0)
        log_about(subject, LOG_LEVEL_WARNING, "the number of workers stays: %s", strerror(-r));
}
