/* Each program's check_command, before a candidate is taken. */
#include "master/reload.h"

#include "base/clock.h"
#include "base/strv.h"
#include "master/master.h"
#include "worker/oneshot.h"

#include <string.h>

static struct oneshot *find_check(const struct reload *reload, const struct generation *generation)
{
    LIST_FOREACH (check, &reload->checks, struct oneshot, link)
        if (check->generation == generation)
            return check;
    return NULL;
}

void reload_stop_checks(struct reload *reload)
{
    for (size_t i = 0; i < reload->candidate.n_parts; i++) {
        struct oneshot *check = find_check(reload, reload->candidate.parts[i].generation);
        if (check)
            oneshot_stop(check);
    }
}

void reload_free_gone_checks(struct reload *reload)
{
    LIST_FOREACH_SAFE (check, &reload->checks, struct oneshot, link)
        if (check->gone)
            (void)oneshot_free(check);
}

static void on_check_changed(struct oneshot *check UNUSED, void *userdata)
{
    master_wake(userdata);
}

static int start_check(struct master *master, struct generation *generation, char **ret_reason)
{
    const struct oneshot_params params = {
        .event = master->event,
        .reaper = master->reaper,
        .generation = generation,
        .command = {.name = "check_command",
                    .key = "reload.check_command",
                    .words = generation->program->reload.check_command},
        .stdin_fd = -1,
        .nofile = &master->nofile,
        .limit_usec = generation->program->start_timeout_usec,
        .limit_key = "start_timeout",
        .changed = on_check_changed,
        .userdata = master,
    };
    struct oneshot *check = NULL;
    CLEANUP_FREE char *error = NULL;
    int r = oneshot_new(&params, &check, &error);
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

enum oneshot_verdict reload_judge_checks(const struct reload *reload, char **ret_reason)
{
    enum oneshot_verdict verdict = ONESHOT_PASSED;
    for (size_t i = 0; i < reload->candidate.n_parts; i++) {
        const struct generation *generation = reload->candidate.parts[i].generation;
        const struct oneshot *check = find_check(reload, generation);
        if (!check || check->verdict == ONESHOT_PASSED)
            continue;
        verdict = check->verdict;
        if (verdict == ONESHOT_FAILED) {
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
