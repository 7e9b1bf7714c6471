/*
 * server.h - an echo server around one epoll: what its files share.
 *
 * main.c        arguments, and the wish to leave
 * server.c      the loop: listeners, signals, the words of the master, draining
 * connection.c  one client: echo with back-pressure, half-close
 * listen.c      a listener of one's own, for a server that was started by hand
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Everything the epoll knows begins with this; the epoll's data points at it. */
struct source {
    enum source_kind { SOURCE_LISTENER, SOURCE_CONNECTION, SOURCE_SIGNALS, SOURCE_RELOADER } kind;
    int fd;
};

struct server {
    struct reloader *reloader;
    int epoll_fd;
    struct source signals, master;
    struct source **listeners;
    size_t n_listeners, n_connections;
    LIST_HEAD(, connection) connections;
    struct connection *next_end; /* draining: the next one in the list whose time has not come yet */
    size_t n_ends;               /* draining: how many there were to be ended */
    bool answers_who;  /* "WHO\n" as the first words of a client is a question */
    int failure;       /* of a listener that came later: -errno */
    bool drain_wanted; /* asked for; done once the events at hand are through */
    bool draining;
    bool leaving;         /* exit when the last connection is gone, without waiting for a signal */
    bool leave_now;       /* exit whatever is open */
    bool closed_told;     /* the master knows that all is closed */
    uint64_t paused_msec; /* accepting is paused for want of fds since then; 0: it is not */
    bool pause_told;      /* once until a connection could be accepted again */
    uint64_t drain_began_msec;
    bool silence_over; /* draining: who has not said a word by now will not */
};

/* 0 or -errno. Takes all listeners that are handed over, by environment or channel; without any it listens on the `addresses`. */
int server_open(struct server *server, char *const *addresses);
/* Serves until it is to leave. 0 or -errno. */
int server_run(struct server *server);
void server_close(struct server *server);

/* Takes over an accepted fd. 0 or -errno, the fd is closed then. */
int connection_open(struct server *server, int fd);
/* Goes as far as it can; frees the connection when it is at its end. */
void connection_run(struct server *server, struct connection *connection);
/* The drain begins: from now on each has its time. */
void connection_plan_ends(struct server *server);
/* When the next one's time comes; UINT64_MAX: all have had theirs. */
uint64_t connection_next_end_msec(const struct server *server);
/* Ends those whose time has come: they are owed what has arrived by now, and no more. */
void connection_end_due(struct server *server, uint64_t now_msec);
/* Those whose time has come and that never spoke are owed nothing. */
void connection_end_silent(struct server *server);
void connection_close(struct server *server, struct connection *connection);

/* "7000", "127.0.0.1:7000", "[::1]:7000", "unix:/path". *ret_fd or -errno; -EINVAL: not of these forms. */
int listen_on(const char *address, int *ret_fd);
