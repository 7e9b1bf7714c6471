/*
 * server.c - the loop.
 *
 * Handlers of events only record that a drain is wanted: to drain closes connections, and some of those may have an
 * event in the batch at hand.
 */
#include "server.h"

#include <reloader.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64
/* Connections taken at one wake-up before others have their turn. */
#define ACCEPTS_MAX 16
/* Connections taken at the last look into a queue, which is bounded by its backlog. */
#define LAST_ACCEPTS_MAX 65536
#define PAUSE_MSEC       100
#define SILENCE_MSEC     3000
/* The listeners are there before we are; a master that is no master must not keep us for ever. */
#define HAND_OVER_MSEC 10000

static uint64_t now_msec(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int add_source(struct server *server, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

/* Exclusive: a new connection wakes one of the workers that share the socket, not all of them. */
static int start_listening(struct server *server, struct source *listener)
{
    return add_source(server, listener, EPOLLIN | EPOLLEXCLUSIVE);
}

static void stop_listening(struct server *server, struct source *listener)
{
    (void)epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
}

static void pause_accepting(struct server *server, int error)
{
    if (!server->pause_told)
        fprintf(stderr, "tcp-echo: cannot accept: %s; trying again every %d ms\n", strerror(error),
                PAUSE_MSEC);
    server->pause_told = true;
    for (size_t i = 0; i < server->n_listeners; i++)
        stop_listening(server, server->listeners[i]);
    server->paused_msec = now_msec();
}

static void resume_accepting(struct server *server)
{
    server->paused_msec = 0;
    for (size_t i = 0; i < server->n_listeners; i++)
        (void)start_listening(server, server->listeners[i]);
}

/* 1 a connection was next, 0 none is left, or -errno where waiting, for fds say, is all that helps. */
static int accept_one(struct server *server, const struct source *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        int r = connection_open(server, fd);
        server->pause_told = r < 0;
        return r < 0 ? r : 1;
    }
    switch (errno) {
    case EAGAIN:
        return 0;
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
        /* This one died in the queue; accept(2) hands on its error. The next may be well. */
        return 1;
    default:
        return -errno;
    }
}

static void accept_some(struct server *server, struct source *listener)
{
    int accepted = 0, r = 1;
    while (r > 0 && accepted < ACCEPTS_MAX) {
        r = accept_one(server, listener);
        accepted += r > 0;
    }
    if (r < 0) {
        pause_accepting(server, -r);
        return;
    }
    /* The kernel wakes the first in line: who was served goes to its end, so that all workers have their share. */
    if (accepted > 0) {
        stop_listening(server, listener);
        (void)start_listening(server, listener);
    }
}

static void free_listener(struct source *listener)
{
    close(listener->fd);
    free(listener);
}

/*
 * Leaves the line first and takes then what is in the queue: a connection whose wake-up was given to us alone would
 * wait there until the next one comes.
 */
static void leave_listeners(struct server *server)
{
    for (size_t i = 0; i < server->n_listeners; i++) {
        stop_listening(server, server->listeners[i]);
        for (int n = 0; n < LAST_ACCEPTS_MAX && accept_one(server, server->listeners[i]) > 0; n++)
            ;
        free_listener(server->listeners[i]);
    }
    server->n_listeners = 0;
}

static void drain(struct server *server)
{
    server->draining = true;
    server->drain_began_msec = now_msec();
    leave_listeners(server);
    connection_plan_ends(server);
    connection_end_due(server, server->drain_began_msec);
    char text[64];
    (void)snprintf(text, sizeof(text), "draining, %zu connections", server->n_connections);
    (void)reloader_status(server->reloader, text);
}

static void on_signal(struct server *server)
{
    struct signalfd_siginfo info;
    if (read(server->signals.fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (server->draining)
        server->leave_now = true;
    server->drain_wanted = server->leaving = true;
}

/* The epoll knows each by its address, so each has a place of its own. */
static int append_listener(struct server *server, struct source *listener)
{
    struct source **larger = realloc(server->listeners,
                                     (server->n_listeners + 1) * sizeof(struct source *));
    if (!larger)
        return -ENOMEM;
    server->listeners = larger;
    int r = start_listening(server, listener);
    if (r == 0)
        server->listeners[server->n_listeners++] = listener;
    return r;
}

/* Takes over fd in success. */
static int add_listener(struct server *server, int fd)
{
    /* Inherited sockets are blocking; with several workers after each connection, accept() would hang in all but one. */
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    struct source *listener = malloc(sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    *listener = (struct source){.kind = SOURCE_LISTENER, .fd = fd};
    int r = append_listener(server, listener);
    if (r < 0)
        free(listener);
    return r;
}

/* While it drains, more sockets are no business of ours. */
static int add_listeners(struct server *server, size_t first)
{
    int r = 0;
    for (size_t i = first; r == 0 && i < reloader_listener_count(server->reloader); i++) {
        int fd = reloader_listener(server->reloader, i);
        if (server->draining)
            close(fd);
        else
            r = add_listener(server, fd);
    }
    return r;
}

static void on_master(struct reloader *reloader, const struct reloader_event *event, void *userdata)
{
    struct server *server = userdata;
    switch (event->type) {
    case RELOADER_GRACEFUL_SHUTDOWN:
        server->drain_wanted = true;
        break;
    case RELOADER_MASTER_GONE:
        server->drain_wanted = server->leaving = true;
        break;
    case RELOADER_LISTENERS:
        if (server->failure == 0)
            server->failure = add_listeners(server,
                                            reloader_listener_count(reloader) - event->length);
        break;
    case RELOADER_DISCONNECT_SPREAD: /* is asked for at the end of each round */
    case RELOADER_MESSAGE:
        break;
    }
}

static void dispatch(struct server *server, struct source *source)
{
    switch (source->kind) {
    case SOURCE_LISTENER:
        if (server->paused_msec == 0)
            accept_some(server, source);
        break;
    case SOURCE_CONNECTION:
        connection_run(server, (struct connection *)source);
        break;
    case SOURCE_SIGNALS:
        on_signal(server);
        break;
    case SOURCE_RELOADER:
        if (reloader_dispatch(server->reloader, on_master, server) < 0)
            fprintf(stderr, "tcp-echo: listeners that could not be taken were closed\n");
        break;
    }
}

static uint64_t silence_until_msec(const struct server *server)
{
    return server->silence_over ? UINT64_MAX : server->drain_began_msec + SILENCE_MSEC;
}

static int timeout_msec(const struct server *server)
{
    if (server->paused_msec > 0)
        return PAUSE_MSEC;
    if (!server->draining || server->n_connections == 0)
        return -1;
    uint64_t end = connection_next_end_msec(server), silence = silence_until_msec(server);
    uint64_t until = end < silence ? end : silence, now = now_msec();
    if (until == UINT64_MAX)
        return -1;
    if (until <= now)
        return 0;
    return until - now < INT_MAX ? (int)(until - now) : INT_MAX;
}

/* What follows from the events that are through. */
static void converge(struct server *server)
{
    if (server->drain_wanted && !server->draining)
        drain(server);
    if (server->draining && now_msec() >= silence_until_msec(server))
        connection_end_silent(server);
    if (server->draining)
        connection_end_due(server, now_msec());
    if (server->paused_msec > 0 && now_msec() >= server->paused_msec + PAUSE_MSEC)
        resume_accepting(server);
    if (server->draining && server->n_connections == 0 && !server->closed_told) {
        (void)reloader_fully_closed(server->reloader);
        server->closed_told = true;
    }
}

int server_run(struct server *server)
{
    struct epoll_event events[EVENTS_MAX];
    while (!server->leave_now && !(server->leaving && server->closed_told)) {
        int n = epoll_wait(server->epoll_fd, events, EVENTS_MAX, timeout_msec(server));
        if (n < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < n; i++)
            dispatch(server, events[i].data.ptr);
        if (server->failure < 0)
            return server->failure;
        converge(server);
    }
    return 0;
}

static int open_listeners(struct server *server, char *const *addresses)
{
    int r = reloader_wait_listeners(server->reloader, HAND_OVER_MSEC);
    if (r < 0) {
        fprintf(stderr, "tcp-echo: no listeners from the master: %s\n", strerror(-r));
        return r;
    }
    if (reloader_listener_count(server->reloader) > 0)
        return add_listeners(server, 0);
    r = addresses[0] ? 0 : -EDESTADDRREQ;
    for (size_t i = 0; r == 0 && addresses[i]; i++) {
        int fd = -1;
        r = listen_on(addresses[i], &fd);
        if (r == 0)
            r = add_listener(server, fd);
        if (r < 0)
            fprintf(stderr, "tcp-echo: cannot listen on %s: %s\n", addresses[i], strerror(-r));
    }
    return r;
}

static int open_signals(struct server *server)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    server->signals = (struct source){.kind = SOURCE_SIGNALS, .fd = fd};
    return add_source(server, &server->signals, EPOLLIN);
}

int server_open(struct server *server, char *const *addresses)
{
    LIST_INIT(&server->connections);
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd < 0)
        return -errno;
    int r = open_signals(server);
    if (r < 0)
        return r;
    r = reloader_new(RELOADER_UNSET_ENVIRONMENT, &server->reloader);
    if (r < 0)
        return r;
    server->master = (struct source){.kind = SOURCE_RELOADER,
                                     .fd = reloader_get_fd(server->reloader)};
    r = add_source(server, &server->master, EPOLLIN);
    if (r == 0)
        r = reloader_hello_spread(server->reloader);
    if (r == 0)
        r = open_listeners(server, addresses);
    return r < 0 ? r : reloader_ready(server->reloader);
}

void server_close(struct server *server)
{
    struct connection *c;
    while ((c = LIST_FIRST(&server->connections)))
        connection_close(server, c);
    for (size_t i = 0; i < server->n_listeners; i++)
        free_listener(server->listeners[i]);
    free(server->listeners);
    server->reloader = reloader_free(server->reloader);
    close(server->signals.fd);
    close(server->epoll_fd);
}
