/*
 * client.h - one client of the control socket: who it is, and what its call waits for.
 *
 * A waiting call is a few values (which kind, an id, a set of event types), never a pointer into the master. The service
 * makes and frees clients, and passes on to each what it may wait for; handlers answer, or leave a call waiting.
 */
#pragma once

#include "base/list.h"
#include "control/command.h"
#include "control/control.h"
#include "control/subscription.h"

#include <sys/socket.h>
#include <systemd/sd-event.h>

#define CONTROL_INTERFACE               "io.reloader.Control"
#define CONTROL_ERROR_PERMISSION_DENIED CONTROL_INTERFACE ".PermissionDenied" /* () */
#define CONTROL_ERROR_TOO_MANY_CLIENTS  CONTROL_INTERFACE ".TooManyClients"   /* () */
#define CONTROL_ERROR_NOT_IN_THIS_VERSION                                                          \
    CONTROL_INTERFACE ".NotInThisVersion"                              /* (method, ?parameter) */
#define CONTROL_ERROR_SHUTTING_DOWN CONTROL_INTERFACE ".ShuttingDown"  /* () */
#define CONTROL_ERROR_FAILED        CONTROL_INTERFACE ".Failed"        /* (reason) */
#define CONTROL_ERROR_NO_PROGRAM    CONTROL_INTERFACE ".NoSuchProgram" /* (name) */
#define CONTROL_ERROR_NO_WORKER     CONTROL_INTERFACE ".NoSuchWorker"  /* (name) */
#define CONTROL_ERROR_NOT_ONE       CONTROL_INTERFACE ".NotOneWorker"  /* (name, workers) */
#define CONTROL_ERROR_NOT_RUNNING                                                                  \
    CONTROL_INTERFACE ".NotRunning" /* (program, slot, state, comes) */

struct client;

enum waiting {
    WAITING_NOT,
    WAITING_FOR_RELOAD,
    WAITING_FOR_JOB,
    WAITING_FOR_EVENTS,
    WAITING_FOR_LINES,
    WAITING_FOR_ANSWER
};

/* For handlers. A handler answers, or leaves its call waiting by one of the last five. Parameters are borrowed. */
const struct control_ops *client_ops(const struct client *client);
void *client_ops_userdata(const struct client *client);
/* Borrowed. */
const struct control_peer *client_peer(const struct client *client);
void client_reply(struct client *client, json_t *parameters, bool continues);
void client_error(struct client *client, const char *error, json_t *parameters);
/* The only reply of a call, with a descriptor, which is taken over; -1: without one. */
void client_reply_fd(struct client *client, json_t *parameters, int fd);
/* Another connection, with the same rights: 0 and its other end, which is the caller's, or -errno. */
int client_connect(struct client *client, int *ret_fd);
/* The call ends with the result of that reload; at once if it is there already. With `more` it is sent progress. */
void client_wait_for_reload(struct client *client, uint64_t id, bool more);
/* Likewise, with the results of a job that was just made. */
void client_wait_for_job(struct client *client, uint64_t id, bool more);
/* The call goes on until the client leaves, with what comes by that id, which then is given back. */
void client_follow(struct client *client, uint64_t id);
/* The call goes on until the client leaves, with an event for each reply but the first. Takes over what `wish` owns. */
void client_subscribe(struct client *client, struct subscription_wish *wish);

/* The call ends with what comes by that id; if the client leaves before, it is forgotten. */
void client_wait_for_answer(struct client *client, uint64_t id);

/* For the service. */

struct client_options {
    sd_event *event;
    const struct control_ops *ops;
    void *ops_userdata;
    uint64_t message_timeout_usec, idle_timeout_usec;
    const struct event_ring *events;
    uint64_t start; /* whose numbers these have */
    void (*call)(struct client *client, const struct varlink_call *call);
    /* Takes over the fd of another client with this one's rights. */
    int (*add)(const struct client *client, int fd, void *userdata);
    /* It is over: free it in a later turn of the loop. The reason is for people, NULL if it just left. */
    void (*closed)(struct client *client, const char *reason, void *userdata);
    void *userdata;
};

/* `in_service` is the service's; `over` and `peer` may be read; the rest is client.c's. */
struct client {
    struct list in_service;
    const struct client_options *options;
    struct connection *connection;
    struct control_peer peer;
    enum waiting waiting;
    bool over;
    bool more;         /* WAITING_FOR_RELOAD, WAITING_FOR_JOB: tell the progress */
    uint64_t awaited;  /* likewise, WAITING_FOR_LINES and WAITING_FOR_ANSWER: the id */
    uint64_t missed;   /* WAITING_FOR_LINES: lines that found no room, and it was not told of */
    json_t *missed_of; /* likewise: whose the last of them were; NULL: there are none */
    bool finishing;    /* the master leaves: the call ends when all is told */
    struct subscription subscription; /* WAITING_FOR_EVENTS */
};

/* One event, which is in the ring already. */
struct publication {
    unsigned type;
    uint64_t sequence;
    json_t *event;
    json_t *brief; /* the same, or shortened where it is too large to be sent to many */
};

/* Takes over the fd, also when it fails; the options are borrowed for as long as it lives. 0 or -errno. */
int client_new(int fd, const struct client_options *options, const struct control_peer *peer,
               struct client **ret);
/* Removes it from its list. Not from inside `closed`. Returns NULL. */
struct client *client_free(struct client *client);
void client_tell(struct client *client, const struct publication *publication);
void client_pass_lines(struct client *client, uint64_t id, json_t *lines);
void client_answer(struct client *client, uint64_t id, json_t *parameters);
bool client_hears_events(const struct client *client);
/* What it has not read yet, in bytes. */
size_t client_pending(const struct client *client);
bool client_is_idle(const struct client *client, uint64_t *ret_since_usec);
/* Sends what its socket takes now. Did it take anything? */
bool client_push(struct client *client);
/* Cuts it off. */
void client_close(struct client *client, const char *reason);
/* The call waits no longer, and is not answered. */
void client_stop_waiting(struct client *client);
/* The master leaves: the call that waits gets its last reply, and no further one is taken; client_flush() sends it. */
void client_finish(struct client *client);
/* Sends what the socket takes now. Returns the fd to wait for while something is left, else -1. */
int client_flush(struct client *client);
