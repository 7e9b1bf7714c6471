/*
 * One worker: process, channel, notify socket and timers under one state. worker_set_state() is the only writer of
 * the state; it drops the timers that mean nothing any more and tells the owner.
 */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "process/pidfd.h"
#include "worker/channel.h"
#include "worker/hand-over.h"
#include "worker/health.h"
#include "worker/internal.h"
#include "worker/launch.h"
#include "worker/notify.h"
#include "worker/status.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TIMER_ACCURACY_USEC (1 * USEC_PER_MSEC)
#define EXTENSION_FACTOR_MAX                                                                       \
    10 /* EXTEND_TIMEOUT_USEC stretches a timeout to this many times what is configured */

const char *worker_state_to_string(enum worker_state state)
{
    switch (state) {
    case WORKER_STARTING:
        return "STARTING";
    case WORKER_READY:
        return "READY";
    case WORKER_DRAINING:
        return "DRAINING";
    case WORKER_STOPPING:
        return "STOPPING";
    case WORKER_GONE:
        return "GONE";
    }
    return "?";
}

struct log_subject worker_subject(const struct worker *worker)
{
    return (struct log_subject){
        .program = worker_settings(worker)->name,
        .worker = worker->name,
        .slot = worker->slot,
        .generation = worker->generation->number,
        .pid = worker->pid,
    };
}

/* Timers */

void worker_timer_arm(sd_event_source *timer, uint64_t usec)
{
    (void)sd_event_source_set_time(timer, usec);
    (void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void timer_drop(sd_event_source *timer)
{
    (void)sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}

void worker_set_deadline(struct worker *worker, uint64_t usec_from_now)
{
    worker->deadline_usec = clock_monotonic_usec() + usec_from_now;
    worker_timer_arm(worker->deadline_timer, worker->deadline_usec);
}

/* States */

static void note_leave(struct worker *worker, const char *reason)
{
    worker->leave.began_usec = clock_monotonic_usec();
    (void)snprintf(worker->leave.reason, sizeof(worker->leave.reason), "%s", reason);
}

void worker_set_state(struct worker *worker, enum worker_state state, const char *reason)
{
    enum worker_state from = worker->state;
    if (from < WORKER_DRAINING && state >= WORKER_DRAINING)
        note_leave(worker, reason);
    worker->state = state;
    free(worker->reason);
    worker->reason = strdup(reason);
    worker->state_usec = clock_monotonic_usec();
    worker->granted = false;
    worker->spread_usec = 0;
    timer_drop(worker->deadline_timer);
    timer_drop(worker->step_timer);
    health_follow(worker);
    if (state == WORKER_GONE) {
        worker->channel = channel_free(worker->channel);
        worker->notify = notify_free(worker->notify);
        worker->input_fd = fd_close(worker->input_fd);
    }
    log_about(worker_subject(worker), LOG_LEVEL_DEBUG, "%s -> %s, pid %d: %s",
              worker_state_to_string(from), worker_state_to_string(state), (int)worker->pid,
              reason);
    worker->ops->changed(worker, from, reason, worker->userdata);
}

void worker_become_ready(struct worker *worker, const char *reason)
{
    if (worker->state != WORKER_STARTING)
        return;
    worker->ready_usec = clock_monotonic_usec();
    char took[DURATION_TEXT_SIZE];
    log_about(worker_subject(worker), LOG_LEVEL_INFO, "ready after %s",
              duration_to_text(worker->ready_usec - worker->started_usec, took));
    worker_set_state(worker, WORKER_READY, reason);
}

static void become_ready(struct worker *worker, bool announced)
{
    /* Also of one that time has made ready before: the next ones are waited for. */
    if (announced)
        worker->generation->habits->announces = true;
    if (worker->state == WORKER_STARTING)
        worker->announced = announced;
    worker_become_ready(worker, announced ? "it said so" : "it has been up for long enough");
}

static void fail_start(struct worker *worker)
{
    char limit[DURATION_TEXT_SIZE];
    const char *check = worker->health.text;
    worker->failure = string_format(
        "was not ready within %s (start_timeout)%s%s",
        duration_to_text(worker_settings(worker)->start_timeout_usec, limit), check ? ", " : "",
        check ? check : "");
    log_about(worker_subject(worker), LOG_LEVEL_WARNING, "not ready within %s%s%s, stopping it",
              limit, check ? ", " : "", check ? check : "");
    worker_stop(worker, "start_timeout");
}

static int on_deadline(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct worker *worker = userdata;
    switch (worker->state) {
    case WORKER_STARTING:
        fail_start(worker);
        break;
    case WORKER_DRAINING:
        worker_end_drain(worker);
        break;
    case WORKER_STOPPING:
        worker_end_stop(worker);
        break;
    case WORKER_READY:
    case WORKER_GONE:
        break;
    }
    return 0;
}

static int on_step(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct worker *worker = userdata;
    switch (worker->state) {
    case WORKER_STARTING:
        /* One of its siblings may have announced itself meanwhile: then so will it. */
        if (worker_settings(worker)->ready == CONFIG_READY_AFTER ||
            !worker->generation->habits->announces)
            become_ready(worker, false);
        break;
    case WORKER_DRAINING:
        worker->generation->habits->deaf = channel_is_unread(worker->channel);
        if (worker->generation->habits->deaf)
            worker_send_drain_signal(worker);
        break;
    case WORKER_READY:
    case WORKER_STOPPING:
    case WORKER_GONE:
        break;
    }
    return 0;
}

/* What the worker says */

static void extend_timeout(struct worker *worker, uint64_t usec)
{
    uint64_t configured = 0;
    switch (worker->state) {
    case WORKER_STARTING:
        configured = worker_settings(worker)->start_timeout_usec;
        break;
    case WORKER_DRAINING:
        configured = worker_settings(worker)->disconnect_timeout_usec + worker->spread_usec;
        break;
    case WORKER_STOPPING:
        configured = worker_settings(worker)->stop_timeout_usec;
        break;
    case WORKER_READY:
    case WORKER_GONE:
        return;
    }
    uint64_t cap = worker->state_usec + configured * EXTENSION_FACTOR_MAX;
    uint64_t now = clock_monotonic_usec();
    uint64_t wanted = usec > cap - MIN(cap, now) ? cap : now + usec;
    if (wanted <= worker->deadline_usec)
        return;
    worker->deadline_usec = wanted;
    worker->granted = true;
    worker_timer_arm(worker->deadline_timer, wanted);
    worker->ops->granted(worker, worker->userdata);
}

static void set_status(struct worker *worker, const char *text)
{
    char *status = status_from_text(text);
    if (!status)
        return;
    free(worker->status);
    worker->status = status;
}

static void handle_fully_closed(struct worker *worker)
{
    if (worker->state != WORKER_DRAINING) {
        log_about(worker_subject(worker), LOG_LEVEL_DEBUG,
                  "says fully_closed, but nobody asked it to close");
        return;
    }
    log_about(worker_subject(worker), LOG_LEVEL_INFO, "fully closed");
    worker_stop(worker, "fully closed");
}

static void on_channel_received(enum channel_word word, json_t *value, void *userdata)
{
    struct worker *worker = userdata;
    enum config_ready ready = worker_settings(worker)->ready;
    switch (word) {
    case CHANNEL_READY:
        if (ready == CONFIG_READY_AUTO || ready == CONFIG_READY_MESSAGE)
            become_ready(worker, true);
        break;
    case CHANNEL_FULLY_CLOSED:
        handle_fully_closed(worker);
        break;
    case CHANNEL_HELLO:
        worker->understands = json_is_true(json_object_get(value, "drain"));
        worker->spreads = json_is_true(json_object_get(value, "spread"));
        break;
    case CHANNEL_STATUS:
        set_status(worker, json_string_value(json_object_get(value, "text")));
        break;
    case CHANNEL_MESSAGE:
        worker->ops->message(worker, value, worker->userdata);
        break;
    }
}

static void on_channel_closed(bool unread, void *userdata)
{
    struct worker *worker = userdata;
    if (unread && worker->state == WORKER_DRAINING &&
        worker_settings(worker)->drain == CONFIG_DRAIN_AUTO)
        worker_send_drain_signal(worker);
}

static void refuse_main_pid(struct worker *worker)
{
    if (worker->main_pid_refused)
        return;
    worker->main_pid_refused = true;
    log_about(worker_subject(worker), LOG_LEVEL_WARNING,
              "MAINPID= is not in this version: pid %d, which was started, stays the worker; "
              "let a wrapper exec the server",
              (int)worker->pid);
}

static void on_notified(const struct notify_message *message, void *userdata)
{
    struct worker *worker = userdata;
    enum config_ready ready = worker_settings(worker)->ready;
    if (message->status)
        set_status(worker, message->status);
    if (message->main_pid != 0 && message->main_pid != worker->pid)
        refuse_main_pid(worker);
    if (message->extend_timeout_usec > 0)
        extend_timeout(worker, message->extend_timeout_usec);
    if (message->ready && (ready == CONFIG_READY_AUTO || ready == CONFIG_READY_NOTIFY))
        become_ready(worker, true);
    health_notified(worker, message);
    if (message->stopping && worker->state == WORKER_READY) {
        worker->left_by_itself = true;
        worker_set_state(worker, WORKER_DRAINING, "it says that it is stopping");
        log_about(worker_subject(worker), LOG_LEVEL_INFO, "draining, by itself");
        worker_set_deadline(worker, worker_settings(worker)->disconnect_timeout_usec);
    }
}

static const struct channel_ops channel_ops = {.received = on_channel_received,
                                               .closed = on_channel_closed};
static const struct notify_ops notify_ops = {.received = on_notified};

/* The end */

/* The leader is gone. Others of its group get what is left of its time to finish if it was draining, else are told now. */
static void outlive_leader(struct worker *worker)
{
    uint64_t now = clock_monotonic_usec();
    uint64_t left = worker->deadline_usec > now ? worker->deadline_usec - now : 0;
    bool was_draining = worker->state == WORKER_DRAINING;
    char text[PROCESS_EXIT_TEXT_SIZE];
    worker_set_state(worker, WORKER_STOPPING, process_exit_to_text(&worker->exit, text));
    if (was_draining)
        worker_set_deadline(worker, left);
    else
        worker_send_stop_signal(worker);
}

static int on_leader_exit(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                          void *userdata)
{
    struct worker *worker = userdata;
    if (process_peek_exit(worker->pid, &worker->exit) <= 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    /* What it said before it died is heard before its death is dealt with. */
    notify_read_rest(worker->notify);
    channel_read_rest(worker->channel);
    worker->exited = true;
    switch (worker->state) {
    case WORKER_STARTING:
    case WORKER_READY:
    case WORKER_DRAINING:
        outlive_leader(worker);
        break;
    case WORKER_STOPPING:
        worker_tell_rest_to_stop(worker);
        break;
    case WORKER_GONE:
        break;
    }
    reaper_exited(worker->reaper, &worker->reaping);
    worker->ops->exited(worker, worker->userdata);
    return 0;
}

static void on_group_empty(void *userdata)
{
    struct worker *worker = userdata;
    worker->pidfd = fd_close(worker->pidfd);
    worker_set_state(worker, WORKER_GONE, "all its processes are gone");
}

bool worker_is_leaving(const struct worker *worker)
{
    return (worker->state == WORKER_DRAINING || worker->state == WORKER_STOPPING) &&
           !worker->exited;
}

bool worker_is_deaf(const struct worker *worker)
{
    return worker->channel && channel_is_unread(worker->channel);
}

/* The start */

static int add_sources(struct worker *worker, sd_event *event)
{
    int r = sd_event_add_time(event, &worker->deadline_timer, CLOCK_MONOTONIC, 0,
                              TIMER_ACCURACY_USEC, on_deadline, worker);
    if (r >= 0)
        r = sd_event_source_set_enabled(worker->deadline_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(event, &worker->step_timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_USEC,
                              on_step, worker);
    if (r >= 0)
        r = sd_event_source_set_enabled(worker->step_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(worker->deadline_timer, "worker-deadline");
    (void)sd_event_source_set_description(worker->step_timer, "worker-step");
    return 0;
}

/*
 * Edge-triggered, as the channel and the notify socket are: sd-event deals with one source a round, and the kernel would
 * report all that are ready in every round. It makes the replacement of hundreds of workers a quarter quicker.
 */
static int watch_exit(struct worker *worker, sd_event *event)
{
    int r = sd_event_add_io(event, &worker->exit_source, worker->pidfd, EPOLLIN | EPOLLET,
                            on_leader_exit, worker);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(worker->exit_source, "worker-exit");
    return 0;
}

static void begin_start(struct worker *worker)
{
    const struct config_program *program = worker_settings(worker);
    log_about(worker_subject(worker), LOG_LEVEL_INFO, "up, pid %d, generation %llu",
              (int)worker->pid, (unsigned long long)worker->generation->number);
    worker_set_deadline(worker, program->start_timeout_usec);
    if (program->ready == CONFIG_READY_AFTER)
        worker_timer_arm(worker->step_timer, worker->started_usec + program->ready_after_usec);
    else if (program->ready == CONFIG_READY_AUTO && !worker->generation->habits->announces)
        worker_timer_arm(worker->step_timer, worker->started_usec + program->start_seconds_usec);
    health_follow(worker);
}

static int make_io(struct worker *worker, const struct worker_params *params, int *ret_channel_fd)
{
    CLEANUP_FREE char *notify_name = string_format("%d-%llu", (int)getpid(),
                                                   (unsigned long long)worker->id);
    if (!notify_name)
        return -ENOMEM;
    int r = add_sources(worker, params->event);
    if (r == 0)
        r = health_init(worker, params);
    if (r < 0)
        return r;
    r = notify_new(params->event, params->notify_directory, notify_name, worker->name, &notify_ops,
                   worker, &worker->notify);
    if (r < 0)
        return r;
    return channel_new(params->event, worker->name, &channel_ops, worker, &worker->channel,
                       ret_channel_fd);
}

static int start(struct worker *worker, const struct worker_params *params, char **ret_reason)
{
    CLEANUP_FD int channel_fd = -1;
    int r = make_io(worker, params, &channel_fd);
    if (r < 0) {
        *ret_reason = string_format("cannot make its channel and notify socket%s%s: %s",
                                    params->notify_directory ? " in " : "",
                                    params->notify_directory ? params->notify_directory : "",
                                    strerror(-r));
        return r;
    }
    struct worker_place place = {
        .generation = params->generation,
        .slot = params->slot,
        .notify_path = notify_path(worker->notify),
    };
    CLEANUP(worker_command_clear) struct worker_command command = {0};
    r = worker_make_command(&place, &command, ret_reason);
    if (r == 0 && (worker_settings(worker)->handoff & CONFIG_HANDOFF_SCM_RIGHTS))
        r = hand_over_listeners(worker->channel, params->generation, params->slot, 0, ret_reason);
    if (r < 0)
        return r;
    worker->started_usec = worker->state_usec = clock_monotonic_usec();
    r = worker_launch(worker, params, &command, channel_fd, ret_reason);
    if (r < 0)
        return r;
    worker->reaping.leader = worker->pid;
    worker->reaping.mark = notify_path(worker->notify);
    worker->reaping.name = worker->name;
    reaper_add(worker->reaper, &worker->reaping);
    notify_set_leader(worker->notify, worker->pid);
    return watch_exit(worker, params->event);
}

static int try_new(const struct worker_params *params, struct worker **ret, char **ret_error)
{
    CLEANUP(worker_freep) struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    *worker = (struct worker){
        .reaper = params->reaper,
        .generation = generation_ref(params->generation),
        .ops = params->ops,
        .userdata = params->userdata,
        .id = params->id,
        .slot = params->slot,
        .state = WORKER_STARTING,
        .pidfd = -1,
        .input_fd = -1,
        .reaping = {.whole_group = params->generation->program->kill_mode != CONFIG_KILL_PROCESS,
                    .whole_tree = params->generation->program->kill_mode == CONFIG_KILL_TREE,
                    .empty = on_group_empty,
                    .stray = worker_found_stray,
                    .outlived = worker_outlived,
                    .userdata = worker},
    };
    list_init(&worker->link);
    int r = worker_make_name(params->generation, params->slot, &worker->name, ret_error);
    if (r < 0)
        return r;
    CLEANUP_FREE char *reason = NULL;
    r = start(worker, params, &reason);
    if (r < 0) {
        *ret_error = string_format("%s: %s", worker->name, reason ? reason : strerror(-r));
        return r;
    }
    begin_start(worker);
    *ret = TAKE_PTR(worker);
    return 0;
}

int worker_new(const struct worker_params *params, struct worker **ret, char **ret_error)
{
    CLEANUP_FREE char *error = NULL;
    int r = try_new(params, ret, &error);
    if (r < 0 && reaper_relieves(params->reaper, r))
        return try_new(params, ret, ret_error);
    *ret_error = TAKE_PTR(error);
    return r;
}

/* For one that could not be watched, or outlives the master: SIGKILL ends it within moments. */
static void end_now(struct worker *worker)
{
    struct pollfd poll_fd = {.fd = worker->pidfd, .events = POLLIN};
    worker_kill(worker);
    (void)poll(&poll_fd, 1, 1000);
    worker->reaping.exited = true;
    reaper_remove(worker->reaper, &worker->reaping);
}

struct worker *worker_free(struct worker *worker)
{
    if (!worker)
        return NULL;
    if (worker->pid > 0 && worker->state != WORKER_GONE)
        end_now(worker);
    (void)sd_event_source_disable_unref(worker->exit_source);
    (void)sd_event_source_disable_unref(worker->deadline_timer);
    (void)sd_event_source_disable_unref(worker->step_timer);
    health_clear(worker);
    (void)channel_free(worker->channel);
    (void)notify_free(worker->notify);
    (void)fd_close(worker->pidfd);
    (void)fd_close(worker->input_fd);
    (void)generation_unref(worker->generation);
    free(worker->failure);
    free(worker->status);
    free(worker->reason);
    free(worker->name);
    free(worker);
    return NULL;
}
