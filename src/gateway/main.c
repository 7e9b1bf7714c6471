/*
 * reloader-gateway: HTTP for the reloader. An ordinary worker: its listener, `gateway`, comes by the environment, and it speaks to the
 * master by libreloader. It asks for the rest (setup.h), serves when that is there, drains at graceful_shutdown.
 *
 * It is started without privileges and opens no file: whatever it works with is handed to it. If the master is gone it finishes what it has,
 * for a while, and exits. SIGTERM and SIGINT: the same; once more, or in a drain, it leaves at once, as it does at SIGQUIT.
 */
#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "client/reloader.h"
#include "gateway/access.h"
#include "gateway/events.h"
#include "gateway/gateway.h"
#include "gateway/metrics.h"
#include "gateway/openapi.h"
#include "gateway/setup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define LISTENER "gateway"
/* How long connections may take to end where no master bounds it. */
#define FAREWELL_USEC (10 * USEC_PER_SEC)

struct worker {
    struct gateway gateway;
    struct reloader *reloader;
    sd_event_source *channel, *farewell;
    struct setup setup;
    int listener;
    bool leaves; /* as soon as it has drained; else the master says when */
};

static int on_farewell(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct worker *worker = userdata;
    (void)source;
    (void)usec;
    log_warning("%u connections did not end in time; leaving",
                worker->gateway.http ? http_connections(worker->gateway.http) : 0);
    return sd_event_exit(worker->gateway.event, 0);
}

static void on_drained(struct gateway *gateway)
{
    struct worker *worker = LIST_ENTRY(gateway, struct worker, gateway);
    if (worker->leaves)
        (void)sd_event_exit(gateway->event, 0);
    else
        (void)reloader_fully_closed(worker->reloader);
}

static void drain(struct worker *worker)
{
    struct gateway *gateway = &worker->gateway;
    gateway->draining = true;
    worker->listener = fd_close(worker->listener);
    if (gateway->events)
        events_drain(gateway->events);
    if (gateway->http)
        http_drain(gateway->http, reloader_disconnect_spread(worker->reloader));
    else
        on_drained(gateway);
}

/* Nobody waits for us, or bounds how long we take. */
static void drain_and_leave(struct worker *worker)
{
    worker->leaves = true;
    if (!worker->farewell)
        (void)sd_event_add_time_relative(worker->gateway.event, &worker->farewell, CLOCK_MONOTONIC,
                                         FAREWELL_USEC, 0, on_farewell, worker);
    drain(worker);
}

/* The connection comes with the start alone: who has lost it is of no use any more, while the one that is started instead is. */
static void on_link_down(void *userdata)
{
    struct worker *worker = userdata;
    if (worker->leaves)
        return;
    log_warning("the master has closed the control connection; leaving, for another gateway");
    drain_and_leave(worker);
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct worker *worker = userdata;
    (void)source;
    if (worker->gateway.draining || info->ssi_signo == SIGQUIT)
        return sd_event_exit(worker->gateway.event, 0);
    drain_and_leave(worker);
    return 0;
}

static int make_access(struct worker *worker)
{
    CLEANUP_FREE char *password = NULL;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    if (getsockname(worker->listener, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    if (worker->setup.has_password) {
        CLEANUP_FD int fd = reloader_listener_by_name(worker->reloader, "password");
        int r = setup_read_password(fd, &password);
        if (r < 0)
            return r;
    }
    struct access_settings settings = {
        .username = worker->setup.username,
        .password = password,
        .public = worker->setup.public,
        .listens_on = (struct sockaddr *)&address,
    };
    int r = access_new(&settings, &worker->gateway.access);
    if (password)
        explicit_bzero(password, strlen(password));
    return r;
}

static int make_parts(struct worker *worker)
{
    struct gateway *gateway = &worker->gateway;
    int r = make_access(worker);
    if (r == 0)
        r = usage_new(&gateway->usage);
    if (r == 0)
        r = link_new(gateway->event, reloader_listener_by_name(worker->reloader, "control"),
                     &gateway->link);
    if (r == 0)
        link_on_down(gateway->link, on_link_down, worker);
    if (r == 0)
        r = (gateway->openapi = openapi_make()) ? 0 : -ENOMEM;
    if (r == 0)
        r = metrics_new(gateway->event, &gateway->metrics);
    if (r == 0)
        r = events_new(gateway, &gateway->events);
    if (r == 0)
        r = http_new(gateway->event, TAKE_FD(worker->listener), gateway, &gateway->http);
    return r;
}

/* When all that the master hands over is there. */
static int begin(struct worker *worker)
{
    if (worker->gateway.http || worker->gateway.draining ||
        !setup_is_complete(&worker->setup, worker->reloader))
        return 0;
    int r = make_parts(worker);
    if (r == 0)
        r = reloader_ready(worker->reloader);
    if (r < 0) {
        log_error("can't serve HTTP: %s", strerror(-r));
        return sd_event_exit(worker->gateway.event, EXIT_FAILURE);
    }
    return 0;
}

static void hear(struct worker *worker, const struct reloader_event *event)
{
    int r = setup_hear(&worker->setup, event->message, event->length);
    if (r < 0 && r != -ENOMSG) {
        log_error("can't use what the master says of the gateway: %s", strerror(-r));
        (void)sd_event_exit(worker->gateway.event, EXIT_FAILURE);
    }
}

static void on_event(struct reloader *reloader, const struct reloader_event *event, void *userdata)
{
    struct worker *worker = userdata;
    (void)reloader;
    switch (event->type) {
    case RELOADER_GRACEFUL_SHUTDOWN:
        if (!worker->gateway.draining)
            drain(worker);
        break;
    case RELOADER_DISCONNECT_SPREAD:
        if (worker->gateway.draining && worker->gateway.http)
            http_drain(worker->gateway.http, reloader_disconnect_spread(worker->reloader));
        break;
    case RELOADER_MASTER_GONE:
        /* The channel's end stays readable. */
        (void)sd_event_source_set_enabled(worker->channel, SD_EVENT_OFF);
        log_warning("the master is gone; finishing");
        drain_and_leave(worker);
        break;
    case RELOADER_MESSAGE:
        hear(worker, event);
        break;
    case RELOADER_LISTENERS:
        break;
    }
}

static int on_channel(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    struct worker *worker = userdata;
    (void)source;
    (void)fd;
    (void)revents;
    int r = reloader_dispatch(worker->reloader, on_event, worker);
    if (r < 0)
        log_error("can't take what came from the master: %s", strerror(-r));
    return begin(worker);
}

static int add_signals(struct worker *worker)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT};
    sigset_t set;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaddset(&set, signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        int r = sd_event_add_signal(worker->gateway.event, NULL, signals[i], on_stop, worker);
        if (r < 0)
            return r;
    }
    return 0;
}

static int start(struct worker *worker)
{
    int r = sd_event_new(&worker->gateway.event);
    if (r >= 0)
        r = reloader_new(RELOADER_UNSET_ENVIRONMENT, &worker->reloader);
    if (r < 0)
        return r;
    worker->listener = reloader_listener_by_name(worker->reloader, LISTENER);
    if (worker->listener < 0 || !reloader_has_master(worker->reloader))
        return -ENOTCONN;
    r = add_signals(worker);
    if (r == 0)
        r = sd_event_add_io(worker->gateway.event, &worker->channel,
                            reloader_get_fd(worker->reloader), EPOLLIN, on_channel, worker);
    if (r >= 0)
        r = reloader_hello_spread(worker->reloader);
    return r < 0 ? r : reloader_send(worker->reloader, "{\"cmd\":\"gateway\"}");
}

/* As many as there may be connections, where the hard limit allows it; else it is at its bound earlier. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)HTTP_FILES_MAX);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void stop(struct worker *worker)
{
    struct gateway *gateway = &worker->gateway;
    gateway->http = http_free(gateway->http);
    gateway->events = events_free(gateway->events);
    gateway->link = link_free(gateway->link);
    gateway->metrics = metrics_free(gateway->metrics);
    gateway->usage = usage_free(gateway->usage);
    free(gateway->openapi);
    gateway->access = access_free(gateway->access);
    sd_event_source_disable_unref(worker->farewell);
    sd_event_source_disable_unref(worker->channel);
    (void)fd_close(worker->listener);
    setup_clear(&worker->setup);
    (void)reloader_free(worker->reloader);
    sd_event_unref(gateway->event);
}

int main(int argc, char **argv)
{
    struct worker worker = {.gateway = {.drained = on_drained}, .listener = -1};
    (void)argv;
    raise_file_limit();
    int r = argc > 1 ? -EINVAL : start(&worker);
    if (r == -ENOTCONN || r == -EINVAL)
        (void)fprintf(stderr, "reloader-gateway is run by reloader, where its configuration has a "
                              "`gateway:`; see reloader.yaml(5)\n");
    else if (r < 0)
        log_error("can't start: %s", strerror(-r));
    else
        r = sd_event_loop(worker.gateway.event);
    stop(&worker);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
