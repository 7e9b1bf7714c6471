#include "master/master.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/strv.h"
#include "master/gateway.h"
#include "master/hooks.h"
#include "master/jobs.h"
#include "master/listener-use.h"
#include "master/own-identity.h"
#include "master/pid-file.h"
#include "master/programs.h"
#include "master/runtime-directory.h"
#include "master/sockets.h"
#include "process/nofile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How long the step may be put off while events keep coming. */
#define STEP_DELAY_MAX_USEC (5 * USEC_PER_MSEC)
/* A reload takes a handful of steps; each of them changes its state or a program's. */
#define STEPS_AT_ONCE_MAX 64
/* A start takes a fraction of a millisecond; so many, a few of them. */
#define STARTS_AT_ONCE_MAX 16

const char *master_state_to_string(enum master_state state)
{
    switch (state) {
    case MASTER_STARTING:
        return "starting";
    case MASTER_RUNNING:
        return "running";
    case MASTER_RELOADING:
        return "reloading";
    case MASTER_STOPPING:
        return "stopping";
    }
    return "?";
}

enum master_state master_get_state(const struct master *master)
{
    switch (master->intent.type) {
    case INTENT_RUN:
        return master->was_ready ? MASTER_RUNNING : MASTER_STARTING;
    case INTENT_RELOAD:
        return MASTER_RELOADING;
    case INTENT_SHUTDOWN:
    case INTENT_FORCED:
        return MASTER_STOPPING;
    }
    return MASTER_RUNNING;
}

void master_wake(struct master *master)
{
    if (master->awake)
        return;
    master->awake = true;
    master->awake_usec = clock_monotonic_usec();
    (void)sd_event_source_set_enabled(master->step_at_rest, SD_EVENT_ONESHOT);
    (void)sd_event_source_set_time(master->step_in_time,
                                   master->awake_usec + STEP_DELAY_MAX_USEC);
    (void)sd_event_source_set_enabled(master->step_in_time, SD_EVENT_ONESHOT);
}

/* Shutting down */

/* The programs with the largest priority number go first; the next ones when these are gone. True: all are gone. */
static bool stop_next(struct master *master)
{
    const struct program *last = NULL;
    for (size_t i = master->n_programs; i-- > 0;) {
        struct program *program = master->programs[i];
        if (last && program_config(program)->priority != program_config(last)->priority)
            return false;
        if (!program->ends_at_once)
            program_stop(program, false);
        if (!program_is_empty(program))
            last = program;
    }
    return last == NULL;
}

static bool stop_all(struct master *master)
{
    bool empty = true;
    for (size_t i = 0; i < master->n_programs; i++) {
        if (!master->programs[i]->forced)
            program_stop(master->programs[i], true);
        empty = empty && program_is_empty(master->programs[i]);
    }
    return empty;
}

static void shutdown_step(struct master *master)
{
    bool forced = master->intent.type == INTENT_FORCED;
    bool empty = forced ? stop_all(master) : stop_next(master);
    master_close_listeners(master);
    if (empty || forced)
        gateway_stop(master->gateway, forced);
    empty = empty && gateway_is_gone(master->gateway);
    if (empty && !reload_has_checks(&master->reload) && (forced || !hooks_linger(master->hooks)))
        (void)sd_event_exit(master->event, master->exit_code);
}

static bool is_shutting_down(const struct master *master)
{
    return master->intent.type == INTENT_SHUTDOWN || master->intent.type == INTENT_FORCED;
}

void master_shutdown(struct master *master, bool force)
{
    enum intent_type before = master->intent.type;
    master->intent = intent_next(master->intent,
                                 force ? INTENT_EVENT_FORCE : INTENT_EVENT_SHUTDOWN);
    if (before != INTENT_SHUTDOWN && before != INTENT_FORCED) {
        watching_stop(master->watching);
        reload_abandon(master);
        jobs_abandon(master);
    }
    if (before != master->intent.type) {
        const char *how = master->intent.type == INTENT_FORCED ? "forced" : "graceful";
        log_info("reloader: %s shutdown", how);
        event_bus_publish(&master->events, EVENT_MASTER,
                          json_pack("{s:s, s:s}", "state", "stopping", "reason", how));
    }
    master_wake(master);
}

int master_reload(struct master *master, const struct reload_wish *wish,
                  const struct reload_cause *cause, uint64_t *ret_id)
{
    if (is_shutting_down(master))
        return -ESHUTDOWN;
    uint64_t id = reload_want(master, wish, cause);
    if (id == 0)
        return -ENOMEM;
    master->intent = intent_next(master->intent, INTENT_EVENT_RELOAD);
    master_wake(master);
    *ret_id = id;
    return 0;
}

/* The deferred step */

static void converge_changed(struct master *master)
{
    for (size_t i = 0; i < master->n_programs; i++)
        if (master->programs[i]->dirty) {
            master->programs[i]->dirty = false;
            program_converge(master->programs[i]);
        }
}

/* -d: whoever started us waits for an answer, and a start that fails is one. */
static void look_for_failed_start(struct master *master)
{
    if (!master->options.exit_on_failed_start || master->was_ready || is_shutting_down(master))
        return;
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!program->start_failure)
            continue;
        log_about(program_subject(program), LOG_LEVEL_ERROR, "cannot start: %s",
                  program->start_failure);
        master->exit_code = EXIT_FAILURE;
        master_shutdown(master, true);
        return;
    }
}

static void look_for_ready(struct master *master)
{
    if (master->was_ready || is_shutting_down(master) || jobs_are_booting(master))
        return;
    unsigned workers = 0;
    for (size_t i = 0; i < master->n_programs; i++) {
        unsigned wanted = program_expected(master->programs[i]);
        if (program_count_ready(master->programs[i]) < wanted)
            return;
        workers += wanted;
    }
    master->was_ready = master->gives_back = true;
    log_info("reloader: ready, %u of %u workers", workers, workers);
    event_bus_publish(&master->events, EVENT_MASTER, json_pack("{s:s}", "state", "running"));
    if (master->options.ready)
        master->options.ready(master->options.userdata);
}

static void do_step(struct master *master)
{
    uint64_t now = clock_monotonic_usec();
    loop_delay_note(&master->loop_delay, now, now - master->awake_usec);
    master->awake = false;
    master->starts_left = STARTS_AT_ONCE_MAX;
    (void)sd_event_source_set_enabled(master->step_at_rest, SD_EVENT_OFF);
    (void)sd_event_source_set_enabled(master->step_in_time, SD_EVENT_OFF);
    if (master->intent.reload_wanted) {
        jobs_hurry(master);
        reload_begin(master);
    }
    converge_changed(master);
    for (unsigned i = 0; i < STEPS_AT_ONCE_MAX && reload_step(master); i++)
        converge_changed(master);
    for (unsigned i = 0; i < STEPS_AT_ONCE_MAX && jobs_step(master); i++)
        converge_changed(master);
    gateway_step(master->gateway);
    if (is_shutting_down(master)) {
        shutdown_step(master);
        converge_changed(master);
    }
    look_for_ready(master);
    look_for_failed_start(master);
    if (!is_shutting_down(master))
        master_steer(master);
    master_free_removed_programs(master);
    service_manager_update(master->service);
    if (master->gives_back)
        memory_give_back();
    master->gives_back = false;
}

static int on_rest(sd_event_source *source UNUSED, void *userdata)
{
    do_step(userdata);
    return 0;
}

static int on_delay_over(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    do_step(userdata);
    return 0;
}

/* The start */

/* Workers with long-lived connections drain on while later reloads bring more of them. */
#define NOFILE_WANTED ((rlim_t)64 * 1024)

/* A worker costs a pidfd, a channel, a notify socket and up to three pipes; while it is replaced there may be several of them in its slot. */
void master_raise_nofile(const struct config *config)
{
    rlim_t needed = 256 + config->n_sockets, soft;
    for (size_t i = 0; i < config->n_programs; i++) {
        const struct config_program *program = config->programs[i];
        needed += 4 * 6 * (rlim_t)program->workers;
        for (size_t j = 0; j < program->n_sockets; j++)
            needed += config_socket_is_of_slots(program->sockets[j]) ? program->workers : 0;
    }
    int r = nofile_raise(MAX(needed, NOFILE_WANTED), &soft);
    if (r < 0)
        log_warning("cannot raise the limit of open files: %s", strerror(-r));
    else if (soft < needed)
        log_warning("the hard limit of open files, %llu, may be too low for that many workers "
                    "(%llu would do); "
                    "raise it with ulimit -Hn or LimitNOFILE=",
                    (unsigned long long)soft, (unsigned long long)needed);
}

static int add_step(struct master *master)
{
    int r = sd_event_add_defer(master->event, &master->step_at_rest, on_rest, master);
    if (r >= 0)
        r = sd_event_source_set_enabled(master->step_at_rest, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_source_set_priority(master->step_at_rest, SD_EVENT_PRIORITY_IDLE);
    if (r >= 0)
        r = sd_event_add_time(master->event, &master->step_in_time, CLOCK_MONOTONIC, 0,
                              USEC_PER_MSEC, on_delay_over, master);
    if (r >= 0)
        r = sd_event_source_set_enabled(master->step_in_time, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(master->step_at_rest, "master-step-at-rest");
    (void)sd_event_source_set_description(master->step_in_time, "master-step-in-time");
    return 0;
}

static int add_event_loop(struct master *master)
{
    int r = sd_event_new(&master->event);
    if (r >= 0)
        r = add_step(master);
    if (r >= 0)
        r = master_add_signals(master);
    if (r >= 0)
        r = reaper_new(master->event, &master->reaper);
    if (r >= 0)
        r = reaper_adopt_orphans(master->reaper);
    if (r < 0)
        return r;
    return 0;
}

static int take_directory(struct master *master, const struct config *config, char **ret_error)
{
    const uid_t heir = config->account.user.set ? config->account.user.id : (uid_t)-1;
    int r = runtime_directory_prepare(config->runtime_directory, heir, ret_error);
    master->made_runtime_directory = r > 0;
    return r < 0 ? r
                 : runtime_directory_prepare_notify(config->runtime_directory,
                                                    &master->notify_directory, ret_error);
}

/* A read-only root file system: nobody asked for this directory, and nothing but the notify sockets would be in it. */
static bool can_do_without_directory(const struct config *config)
{
    return config->runtime_directory_default && !config->control.socket;
}

static int take_places(struct master *master, const struct config *config, char **ret_error)
{
    int r = take_directory(master, config, ret_error);
    if (r < 0 && r != -ENOMEM && can_do_without_directory(config)) {
        log_info("%s; notify sockets get abstract names instead", *ret_error);
        free(TAKE_PTR(*ret_error));
        r = 0;
    }
    if (r == 0 && config->pid_file)
        r = pid_file_create(config->pid_file, &master->pid_fd, ret_error);
    return r;
}

static void on_output_ended(const char *program, const struct output_counters *counters,
                            void *userdata)
{
    struct master *master = userdata;
    for (size_t i = 0; i < master->n_programs; i++)
        if (strcmp(master->programs[i]->name, program) == 0)
            output_totals_add(&master->programs[i]->output, counters);
}

static const struct logging_ops logging_ops = {
    .wanted = followers_want, .lines = followers_tell, .ended = on_output_ended};

static void on_names_known(void *userdata)
{
    master_wake(userdata);
}

static int set_up(struct master *master, struct config *config, char **ret_error)
{
    int r = nofile_get(&master->nofile);
    if (r < 0)
        return r;
    r = own_limits_raise(config, ret_error);
    if (r < 0)
        return r;
    master_raise_nofile(config);
    r = add_event_loop(master);
    if (r == 0)
        r = lookup_init(&master->lookup, on_names_known, master);
    if (r == 0)
        r = hooks_new(master, &master->hooks);
    if (r == 0)
        r = take_places(master, config, ret_error);
    if (r == 0)
        r = listener_watch_new(master, &master->listener_watch);
    if (r == 0)
        r = watching_new(master, &master->watching);
    if (r == 0)
        r = logging_new(master->event, master->reaper, &logging_ops, master, &master->logging);
    if (r == 0)
        r = master_watch_log(master);
    if (r == 0)
        r = probing_new(master->event, master->reaper, &master->probing);
    if (r == 0)
        r = sockets_bind(master, config, ret_error);
    if (r == 0)
        r = master_add_programs(master, ret_error);
    if (r == 0)
        r = gateway_new(master, &master->gateway);
    if (r == 0)
        r = service_manager_new(master, &master->options.service, &master->service);
    return r;
}

int master_new(const struct master_options *options, struct config *config, struct master **ret,
               char **ret_error)
{
    CLEANUP(master_freep) struct master *master = calloc(1, sizeof(*master));
    if (!master)
        return -ENOMEM;
    *master = (struct master){
        .options = *options,
        .release.config = config_ref(config),
        .pid_fd = -1,
        .terminal_fd = options->outlive_terminal
                           ? -1
                           : open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
        .next_worker_id = 1,
        .started_usec = clock_monotonic_usec(),
    };
    event_bus_init(&master->events);
    followers_init(&master->followers);
    inquiries_init(&master->inquiries);
    reload_init(&master->reload);
    jobs_init(&master->jobs);
    CLEANUP_FREE char *error = NULL;
    int r = set_up(master, config, &error);
    if (r < 0) {
        *ret_error = error ? TAKE_PTR(error) : strdup(strerror(-r));
        return r;
    }
    *ret = TAKE_PTR(master);
    return 0;
}

void master_start(struct master *master)
{
    log_info("reloader %s up, pid %d, configuration %s", RELOADER_VERSION, (int)getpid(),
             master->release.config->path ? master->release.config->path : "from the command line");
    watching_update(master->watching, clock_monotonic_usec(), true);
    if (jobs_boot(master) < 0)
        log_error("out of memory to start programs; `reloaderctl start all` tries again");
    master_wake(master);
}

/* Directories that others still use stay. */
static void leave_places(struct master *master)
{
    if (master->notify_directory)
        (void)rmdir(master->notify_directory);
    if (master->made_runtime_directory)
        (void)rmdir(master->release.config->runtime_directory);
    if (master->release.config->pid_file)
        master->pid_fd = pid_file_remove(master->release.config->pid_file, master->pid_fd);
}

struct master *master_free(struct master *master)
{
    if (!master)
        return NULL;
    (void)hooks_free(master->hooks);
    for (size_t i = 0; i < master->n_programs; i++)
        (void)program_free(master->programs[i]);
    free(TAKE_PTR(master->programs));
    master->n_programs = 0;
    master->gateway = gateway_free(master->gateway);
    /* What the workers have printed is written before we leave: whoever started us may then end all of us. */
    (void)logging_free(master->logging);
    followers_clear(&master->followers);
    inquiries_clear(&master->inquiries);
    (void)probing_free(master->probing);
    (void)watching_free(master->watching);
    reload_clear(&master->reload);
    jobs_clear(&master->jobs);
    undo_clear(&master->undo);
    for (size_t i = 0; master->release.listeners && master->release.listeners[i]; i++)
        listener_close(master->release.listeners[i]);
    (void)listener_watch_free(master->listener_watch);
    (void)service_manager_free(master->service);
    lookup_clear(&master->lookup);
    (void)reaper_free(master->reaper);
    for (size_t i = 0; i < master->n_signals; i++)
        (void)sd_event_source_disable_unref(master->signals[i]);
    master_unwatch_log(master);
    (void)sd_event_source_disable_unref(master->step_at_rest);
    (void)sd_event_source_disable_unref(master->step_in_time);
    (void)fd_close(master->terminal_fd);
    (void)sd_event_unref(master->event);
    leave_places(master);
    release_clear(&master->release);
    free(master->notify_directory);
    free(master);
    return NULL;
}
