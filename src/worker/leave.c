/* How a worker leaves: told by word or signal, stopped, killed, and given up when even that does not help. */
#include "worker/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/process-name.h"
#include "base/strv.h"
#include "process/group.h"
#include "process/pidfd.h"
#include "worker/channel.h"

#include <errno.h>
#include <string.h>

/* The leader is unreaped as long as the worker is not GONE: its pid and group id are nobody else's. */
static void signal_leader(struct worker *worker, int signal)
{
    /* valgrind, and sandboxes of its age, do not know the call that takes a pidfd. */
    if (!worker->exited && process_signal(worker->pidfd, signal) == -ENOSYS)
        (void)kill(worker->pid, signal);
}

static void signal_worker(struct worker *worker, int signal)
{
    if (worker_settings(worker)->kill_mode == CONFIG_KILL_GROUP ||
        (worker->exited && worker->reaping.whole_group))
        (void)process_signal_group(worker->pid, signal);
    else
        signal_leader(worker, signal);
}

int worker_signal(struct worker *worker, int signal, bool whole_group)
{
    if (worker->state == WORKER_GONE || (worker->exited && !whole_group))
        return -ESRCH;
    if (whole_group)
        return process_signal_group(worker->pid, signal);
    int r = process_signal(worker->pidfd, signal);
    if (r == -ENOSYS)
        r = kill(worker->pid, signal) < 0 ? -errno : 0;
    return r;
}

void worker_kill(struct worker *worker)
{
    worker->killed = true;
    if (worker->reaping.whole_group)
        (void)process_signal_group(worker->pid, SIGKILL);
    /* By itself as well: it may have joined another group. */
    signal_leader(worker, SIGKILL);
    reaper_hurry(worker->reaper);
}

/* A stopped (SIGSTOP) process would never see the signal: it is continued, as service managers do. */
void worker_send_stop_signal(struct worker *worker)
{
    worker->stop_signalled = true;
    signal_worker(worker, worker_settings(worker)->stop_signal);
    signal_worker(worker, SIGCONT);
    worker_set_deadline(worker, worker_settings(worker)->stop_timeout_usec);
    if (worker->exited && worker->reaping.whole_tree)
        reaper_hurry(worker->reaper);
}

void worker_tell_rest_to_stop(struct worker *worker)
{
    if (!worker->stop_signalled || worker->killed ||
        worker_settings(worker)->kill_mode == CONFIG_KILL_GROUP)
        return;
    signal_worker(worker, worker_settings(worker)->stop_signal);
    signal_worker(worker, SIGCONT);
}

static void tell_stray_to_stop(struct worker *worker, pid_t pid, const char *process)
{
    for (unsigned i = 0; i < worker->n_strays; i++)
        if (worker->strays[i] == pid)
            return;
    if (worker->n_strays == WORKER_STRAYS_MAX)
        return;
    worker->strays[worker->n_strays++] = pid;
    log_about(worker_subject(worker), LOG_LEVEL_INFO,
              "pid %d (%s), which left its process group, gets its stop_signal", (int)pid, process);
    (void)kill(pid, worker_settings(worker)->stop_signal);
    (void)kill(pid, SIGCONT);
}

static void report_left(const struct worker *worker, pid_t pid, const char *process)
{
    /* Else it would not be left. */
    if (worker_settings(worker)->kill_mode == CONFIG_KILL_TREE)
        log_about(worker_subject(worker), LOG_LEVEL_WARNING,
                  "pid %d (%s) of it lives on: it did not die of SIGKILL", (int)pid, process);
    else if (worker_settings(worker)->kill_mode == CONFIG_KILL_PROCESS)
        log_about(worker_subject(worker), LOG_LEVEL_INFO,
                  "pid %d (%s) of it lives on, and is left alone (kill_mode: process)", (int)pid,
                  process);
    else
        log_about(worker_subject(worker), LOG_LEVEL_WARNING,
                  "pid %d (%s) of it has left its process group and lives on; it is left alone "
                  "(kill_mode: tree would end it, too)",
                  (int)pid, process);
}

void worker_found_stray(pid_t pid, const char *process, bool stays, void *userdata)
{
    struct worker *worker = userdata;
    if (stays)
        report_left(worker, pid, process);
    else if (worker->killed)
        (void)kill(pid, SIGKILL);
    else if (worker->stop_signalled)
        tell_stray_to_stop(worker, pid, process);
}

void worker_stop(struct worker *worker, const char *reason)
{
    switch (worker->state) {
    case WORKER_STARTING:
    case WORKER_READY:
    case WORKER_DRAINING:
        worker->asked_to_leave = true;
        worker_set_state(worker, WORKER_STOPPING, reason);
        worker_send_stop_signal(worker);
        break;
    case WORKER_STOPPING:
        if (!worker->stop_signalled)
            worker_send_stop_signal(worker);
        break;
    case WORKER_GONE:
        break;
    }
}

void worker_send_drain_signal(struct worker *worker)
{
    if (worker->drain_signalled)
        return;
    worker->drain_signalled = true;
    char name[SIGNAL_NAME_SIZE];
    log_about(worker_subject(worker), LOG_LEVEL_DEBUG, "draining by %s",
              signal_to_string(worker_settings(worker)->drain_signal, name));
    signal_worker(worker, worker_settings(worker)->drain_signal);
}

static bool send_drain_message(struct worker *worker)
{
    json_t *word = json_string(worker_settings(worker)->drain_message);
    int r = word ? channel_send(worker->channel, word) : -ENOMEM;
    json_decref(word);
    if (r < 0)
        log_about(worker_subject(worker), LOG_LEVEL_DEBUG, "cannot write to its channel: %s",
                  strerror(-r));
    return r == 0;
}

/*
 * Node reads its channel by itself: what it has not read yet it will read, and a signal would kill it with its requests. Others
 * that know the word have said hello.
 */
static bool is_known_to_listen(const struct worker *worker)
{
    return worker->understands || (worker_settings(worker)->handoff & CONFIG_HANDOFF_NODE_IPC);
}

/* Where an earlier worker left its message unread the signal is not held back, but this one may show that it does read. */
static void await_that_it_reads(struct worker *worker)
{
    if (worker->generation->habits->deaf)
        worker_send_drain_signal(worker);
    worker_timer_arm(worker->step_timer,
                     clock_monotonic_usec() + worker_settings(worker)->drain_grace_usec);
}

static void tell_to_drain(struct worker *worker)
{
    switch (worker_settings(worker)->drain) {
    case CONFIG_DRAIN_SIGNAL:
        worker_send_drain_signal(worker);
        break;
    case CONFIG_DRAIN_MESSAGE:
        (void)send_drain_message(worker);
        break;
    case CONFIG_DRAIN_AUTO:
        if (!send_drain_message(worker))
            worker_send_drain_signal(worker);
        else if (!is_known_to_listen(worker))
            await_that_it_reads(worker);
        break;
    }
}

/* Its own word, ahead of the one that tells it to drain. */
static bool send_spread(struct worker *worker, uint64_t usec)
{
    json_auto_t *word = json_pack("{s:s, s:I}", "reloader", "disconnect_spread", "msec",
                                  (json_int_t)(usec / USEC_PER_MSEC));
    return word && channel_send(worker->channel, word) == 0;
}

/* By how much this drain may last longer than disconnect_timeout. */
static uint64_t begin_spread(struct worker *worker, const struct worker_spread *spread)
{
    if (!spread)
        return 0;
    worker->told_spread = worker->spreads && spread->own_usec > 0 &&
                          worker_settings(worker)->drain != CONFIG_DRAIN_SIGNAL &&
                          send_spread(worker, spread->own_usec);
    return worker->told_spread ? spread->own_usec : spread->wait_usec;
}

void worker_end_spread(struct worker *worker)
{
    if (worker->state != WORKER_DRAINING || worker->spread_usec == 0)
        return;
    if (worker->told_spread)
        (void)send_spread(worker, 0);
    worker->spread_usec = 0;
    uint64_t limit = worker_settings(worker)->disconnect_timeout_usec;
    if (!worker->granted && worker->deadline_usec > clock_monotonic_usec() + limit)
        worker_set_deadline(worker, limit);
}

void worker_drain(struct worker *worker, const char *reason, const struct worker_spread *spread)
{
    switch (worker->state) {
    case WORKER_STARTING:
        worker_stop(worker, reason);
        break;
    case WORKER_READY:
        worker->asked_to_leave = true;
        worker_set_state(worker, WORKER_DRAINING, reason);
        log_about(worker_subject(worker), LOG_LEVEL_INFO, "draining");
        worker->spread_usec = begin_spread(worker, spread);
        worker_set_deadline(worker,
                            worker_settings(worker)->disconnect_timeout_usec + worker->spread_usec);
        tell_to_drain(worker);
        break;
    case WORKER_DRAINING:
    case WORKER_STOPPING:
    case WORKER_GONE:
        break;
    }
}

void worker_end_drain(struct worker *worker)
{
    char limit[DURATION_TEXT_SIZE];
    log_about(worker_subject(worker), LOG_LEVEL_WARNING,
              "not closed within %s (disconnect_timeout%s), stopping it",
              duration_to_text(
                  worker_settings(worker)->disconnect_timeout_usec + worker->spread_usec, limit),
              worker->spread_usec > 0 ? " and its share of disconnect_spread" : "");
    worker_stop(worker, "disconnect_timeout");
}

/* A process that hangs in the kernel, or one of another user's that we may not signal: no wait without an end. */
static void give_up(struct worker *worker)
{
    worker->given_up = true;
    if (worker->exited) {
        log_about(worker_subject(worker), LOG_LEVEL_ERROR,
                  "processes of its group %d, or that have left it, do not die of SIGKILL (of "
                  "another user, or hanging in the kernel); they are left alone",
                  (int)worker->pid);
        worker->reaping.whole_group = worker->reaping.whole_tree = false;
        reaper_hurry(worker->reaper);
        return;
    }
    log_about(worker_subject(worker), LOG_LEVEL_ERROR,
              "pid %d does not die of SIGKILL: it is another user's, or hangs in the kernel (see "
              "/proc/%d/stack)",
              (int)worker->pid, (int)worker->pid);
    worker->ops->changed(worker, worker->state, "it does not die of SIGKILL", worker->userdata);
}

#define NAMED_MAX ((size_t)4)

/* "pid 12 (sh), pid 13 (sleep)": who of it is still there; malloc-ed, NULL where memory is short. */
static char *name_rest(const struct worker *worker)
{
    pid_t pids[NAMED_MAX + WORKER_STRAYS_MAX];
    size_t found = group_members(worker->pid, pids, NAMED_MAX), n = MIN(found, NAMED_MAX);
    for (unsigned i = 0; i < worker->n_strays; i++, found++)
        pids[n++] = worker->strays[i];
    CLEANUP_FREE char *text = strdup("");
    size_t named = 0;
    for (size_t i = 0; text && i < n && named < NAMED_MAX; i++) {
        CLEANUP_FREE char *process = process_name(pids[i]), *before = text;
        found -= !process;
        if (!process)
            text = strdup(before);
        else
            text = string_format("%s%spid %d (%s)", before, named++ > 0 ? ", " : "", (int)pids[i],
                                 process);
    }
    if (!text || found <= named)
        return TAKE_PTR(text);
    return string_format("%s and %zu more", text, found - named);
}

static void give_no_more_time(struct worker *worker)
{
    char limit[DURATION_TEXT_SIZE];
    CLEANUP_FREE char *rest = name_rest(worker);
    log_about(worker_subject(worker), LOG_LEVEL_WARNING,
              "still there %s after its stop_signal, killing it: %s",
              duration_to_text(worker_settings(worker)->stop_timeout_usec, limit),
              rest ? rest : "all of it");
    worker_kill(worker);
    worker_set_deadline(worker, 10 * USEC_PER_SEC);
}

void worker_end_stop(struct worker *worker)
{
    if (!worker->stop_signalled) {
        worker_send_stop_signal(worker);
    } else if (!worker->killed) {
        give_no_more_time(worker);
    } else {
        give_up(worker);
    }
}
