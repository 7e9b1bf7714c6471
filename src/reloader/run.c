#include "reloader/run.h"

#include "base/journal.h"
#include "base/log.h"
#include "control/master-view.h"
#include "master/own-identity.h"
#include "master/take-over.h"
#include "reloader/daemonize.h"
#include "reloader/process-title.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct running {
    struct master *master;
    struct control *control;
    struct event_subscriber subscriber;
    int parent_fd;   /* of the process that waits for a daemon to be ready; -1: none */
    int terminal_fd; /* where the log goes until then */
};

static void forward_event(enum event_type type, uint64_t sequence, json_t *event, void *userdata)
{
    control_publish(userdata, event_type_to_string(type), sequence, event);
}

static void forward_lines(uint64_t follower, json_t *lines, void *userdata)
{
    control_pass_lines(userdata, follower, lines);
}

static void forward_answer(uint64_t inquiry, json_t *answer, void *userdata)
{
    control_answer(userdata, inquiry, answer);
}

static int on_connect(int fd, const struct ucred *peer, void *userdata)
{
    const struct running *running = userdata;
    return control_connect_gateway(running->control, fd, peer);
}

static bool is_anybody_there(void *userdata)
{
    return control_is_heard(userdata);
}

static void on_ready(void *userdata)
{
    struct running *running = userdata;
    if (running->parent_fd >= 0)
        running->parent_fd = daemonize_ready(running->parent_fd, running->terminal_fd);
}

static struct control_settings control_settings(const struct config *config)
{
    return (struct control_settings){
        .path = config->control.socket,
        .mode = config->control.mode,
        .owner = config->control.owner,
        .group = config->control.group,
    };
}

/* At a reload */

static int on_prepare(const struct config *config, void *other, void *userdata, void **ret,
                      char **ret_error)
{
    const struct running *running = userdata;
    const struct control_settings settings = control_settings(config);
    struct control_change *change = NULL;
    int r = control_prepare(running->control, &settings, other, &change, ret_error);
    if (r == 0)
        *ret = change;
    return r;
}

static void on_commit(const struct config *config, void *prepared, void *userdata)
{
    const struct running *running = userdata;
    control_move(running->control, prepared);
    process_title_set(config->process_title);
}

static void on_discard(void *prepared)
{
    (void)control_change_free(prepared);
}

/* The whole */

static int open_control(struct running *running, const struct config *config, char **ret_error)
{
    const struct control_settings settings = control_settings(config);
    int r = control_new(running->master->event, &settings, &master_control_ops, running->master,
                        &running->control, ret_error);
    if (r < 0)
        return r;
    running->subscriber = (struct event_subscriber){
        .handle = forward_event,
        .lines = forward_lines,
        .answer = forward_answer,
        .listens = is_anybody_there,
        .userdata = running->control};
    event_bus_subscribe(&running->master->events, &running->subscriber);
    return 0;
}

static void close_control(struct running *running)
{
    if (!running->control)
        return;
    control_finish(running->control);
    event_bus_unsubscribe(&running->subscriber);
    running->control = control_free(running->control);
}

static int loop(struct running *running, struct config *config,
                const struct master_options *options, char **ret_error)
{
    int r = master_apply_log(config, options->journal, ret_error);
    if (options->exit_on_failed_start && !config->log.file &&
        log_get_format() != LOG_FORMAT_JOURNAL)
        log_warning("no log.file is set: messages go nowhere once reloader is in the background");
    if (r == 0)
        r = master_new(options, config, &running->master, ret_error);
    if (r == 0)
        r = open_control(running, config, ret_error);
    if (r == 0)
        r = own_identity_take(running->master, ret_error);
    if (r < 0)
        return r;
    master_start(running->master);
    return sd_event_loop(running->master->event);
}

int run(struct config *config, const struct run_options *options)
{
    struct running running = {.parent_fd = -1, .terminal_fd = -1};
    CLEANUP_FREE char *error = NULL;
    const bool journal = journal_is_behind(STDERR_FILENO);
    struct service_environment service = service_environment_get();
    service.forked = options->daemonize;
    CLEANUP(passed_clear) struct passed_sockets passed = {0};
    if (take_over_collect(config, &passed, &error) < 0) {
        log_error("%s", error ? error : "out of memory");
        return EXIT_FAILURE;
    }
    int r = options->daemonize ? daemonize(&running.parent_fd, &running.terminal_fd) : 0;
    if (r < 0) {
        log_error("cannot fork: %s", strerror(-r));
        return EXIT_FAILURE;
    }
    const struct master_options master_options = {
        .source = options->source,
        .environment = environ,
        .service = service,
        .journal = journal,
        .passed = &passed,
        .exit_on_failed_start = options->daemonize,
        .outlive_terminal = options->outlive_terminal,
        .ready = on_ready,
        .prepare = on_prepare,
        .commit = on_commit,
        .discard = on_discard,
        .connect = on_connect,
        .userdata = &running,
    };
    process_title_set(config->process_title);
    r = loop(&running, config, &master_options, &error);
    if (r < 0)
        log_error("%s", error ? error : strerror(-r));
    close_control(&running);
    bool was_up = running.master != NULL;
    running.master = master_free(running.master);
    if (r == 0 && was_up)
        log_info("reloader: down");
    else if (r > 0 && was_up)
        log_info("reloader: down, exit status %d", r);
    return r < 0 ? EXIT_FAILURE : r;
}
