/* What is asked for, from the wish to the record of its result. */
#include "base/clock.h"
#include "base/strv.h"
#include "master/master.h"
#include "master/reload.h"

#include <errno.h>
#include <string.h>

void reload_request_clear(struct reload_request *request)
{
    (void)strv_free(request->programs);
    free(request->cause.path);
    *request = (struct reload_request){0};
}

int reload_request_widen(struct reload_request *request, const struct reload_wish *wish)
{
    request->all = request->all || (!wish->changed_only && !wish->programs);
    request->changed_only = request->changed_only || wish->changed_only;
    STRV_FOREACH (program, wish->programs) {
        int r = strv_contains(request->programs, *program)
                    ? 0
                    : strv_append(&request->programs, *program);
        if (r < 0)
            return r;
    }
    return 0;
}

bool reload_may_leave_fatal(const struct reload_request *request,
                            const struct config_program_change *change)
{
    if (!change || change->fate == CONFIG_REMOVED)
        return true;
    if (change->rolls)
        return false;
    if (request->all || !strv_contains(request->programs, change->to->name))
        return true;
    bool by_others = request->cause.path || request->kind == RELOAD_RESTART;
    return by_others && strv_length(request->programs) > 1;
}

/* A configuration that is to be read anew is the newest one, too; and workers that take everything anew are restarted. */
static enum reload_kind join(enum reload_kind a, enum reload_kind b)
{
    return MIN(a, b);
}

static bool can_be_one(const struct reload_request *request, const struct reload_wish *wish)
{
    bool is_scaling = request->kind == RELOAD_SCALE || wish->kind == RELOAD_SCALE;
    if (request->id == 0 || (is_scaling && request->kind != wish->kind))
        return false;
    return is_scaling ? strv_equal(request->programs, wish->programs)
                      : (request->kind == RELOAD_UNDO) == (wish->kind == RELOAD_UNDO);
}

static int make_request(struct reload *reload, const struct reload_wish *wish,
                        const struct reload_cause *cause, struct reload_request *ret)
{
    CLEANUP(reload_request_clear)
    struct reload_request request = {.kind = wish->kind,
                                     .workers = wish->workers,
                                     .cause = *cause,
                                     .began_usec = clock_monotonic_usec()};
    request.cause.path = cause->path ? strdup(cause->path) : NULL;
    if (cause->path && !request.cause.path)
        return -ENOMEM;
    int r = reload_request_widen(&request, wish);
    if (r < 0)
        return r;
    request.id = ++reload->last_id;
    *ret = request;
    request = (struct reload_request){0};
    return 0;
}

uint64_t reload_want(struct master *master, const struct reload_wish *wish,
                     const struct reload_cause *cause)
{
    struct reload *reload = &master->reload;
    if (can_be_one(&reload->wanted, wish)) {
        if (reload_request_widen(&reload->wanted, wish) < 0)
            return 0;
        reload->wanted.kind = join(reload->wanted.kind, wish->kind);
        reload->wanted.workers = wish->workers;
        reload->wanted.also++;
        return reload->wanted.id;
    }
    struct reload_request request;
    if (make_request(reload, wish, cause, &request) < 0)
        return 0;
    if (reload->wanted.id != 0)
        reload_end(master, &reload->wanted, RELOAD_SUPERSEDED,
                   string_format("superseded by reload %llu", (unsigned long long)request.id));
    reload->wanted = request;
    return request.id;
}
