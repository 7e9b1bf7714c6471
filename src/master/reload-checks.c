/* Each program's check_command, before a candidate is taken. */
#include "master/reload.h"

#include "base/clock.h"
#include "base/strv.h"
#include "master/master.h"
#include "worker/check.h"

#include <string.h>

static struct check *find_check(const struct reload *reload, const struct generation *generation)
{
    LIST_FOREACH (check, &reload->checks, struct check, link)
        if (check->generation == generation)
            return check;
    return NULL;
}

void reload_stop_checks(struct reload *reload)
{
    for (size_t i = 0; i < reload->candidate.n_parts; i++) {
        struct check *check = find_check(reload, reload->candidate.parts[i].generation);
        if (check)
            check_stop(check);
    }
}

void reload_free_gone_checks(struct reload *reload)
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
int reload_start_checks(struct master *master, char **ret_reason)
{
    const struct reload_candidate *candidate = &master->reload.candidate;
    bool any = false;
    for (size_t i = 0; i < candidate->n_parts; i++) {
        if (!candidate->parts[i].is_checked)
            continue;
        int r = start_check(master, candidate->parts[i].generation, ret_reason);
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

enum check_verdict reload_judge_checks(const struct reload *reload, char **ret_reason)
{
    enum check_verdict verdict = CHECK_PASSED;
    for (size_t i = 0; i < reload->candidate.n_parts; i++) {
        const struct generation *generation = reload->candidate.parts[i].generation;
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

bool reload_has_checks(const struct reload *reload)
{
    return !list_is_empty(&reload->checks);
}
