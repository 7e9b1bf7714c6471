/*
 * A worker whose leader is gone and whose group is not: the log's last word of it was "gone", and yet somebody is waited for. Who that is and for how
 * long is said once, and with it the usual reason: a wrapper, such as a shell, that does not exec its server dies of a signal which the server never gets.
 */
#include "worker/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/process-name.h"
#include "base/strv.h"

#include <signal.h>
#include <stdlib.h>

/* "pid 12 (node) and 3 more of its process group live on" */
static char *name_them(pid_t member, size_t n_members)
{
    CLEANUP_FREE char *process = process_name(member);
    CLEANUP_FREE char *more = n_members > 1 ? string_format(" and %zu more", n_members - 1)
                                            : strdup("");
    return more ? string_format("pid %d (%s)%s of its process group %s on", (int)member,
                                process ? process : "?", more, n_members > 1 ? "live" : "lives")
                : NULL;
}

static bool died_as_told(const struct worker *worker)
{
    const struct config_program *program = worker_settings(worker);
    return worker->asked_to_leave && worker->exit.si_code == CLD_KILLED &&
           (worker->exit.si_status == program->drain_signal ||
            worker->exit.si_status == program->stop_signal);
}

static void tell(const struct worker *worker, const char *who)
{
    uint64_t now = clock_monotonic_usec();
    char left[DURATION_TEXT_SIZE];
    bool wraps = worker_settings(worker)->kill_mode != CONFIG_KILL_GROUP && died_as_told(worker);
    (void)duration_to_text(worker->deadline_usec > now ? worker->deadline_usec - now : 0, left);
    log_about(worker_subject(worker), LOG_LEVEL_INFO, "%s, %s %s%s%s", who,
              worker->stop_signalled ? "and got stop_signal; SIGKILL comes in"
                                     : "and may finish; stop_signal comes in",
              left, worker->stop_signalled ? " (stop_timeout)" : " (disconnect_timeout)",
              wraps ? "; if what was started is a wrapper, such as a shell, let it exec its "
                      "server, or set kill_mode: group"
                    : "");
}

void worker_outlived(pid_t member, size_t n_members, void *userdata)
{
    struct worker *worker = userdata;
    CLEANUP_FREE char *who = name_them(member, n_members);
    if (!who || worker->state != WORKER_STOPPING || worker->killed)
        return;
    tell(worker, who);
    free(worker->reason);
    worker->reason = TAKE_PTR(who);
}
