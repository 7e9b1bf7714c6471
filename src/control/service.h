/*
 * service.h - the clients of the control socket: their calls are checked against the tables and handed to the handlers,
 * and those that wait are told.
 *
 * A waiting call is three values (which kind, a reload's id, a set of event types), never a pointer into the master.
 * Clients that are over are freed by a deferred step of the loop, never where that was noticed.
 */
#pragma once

#include "control/command.h"
#include "control/control.h"

#include <sys/socket.h>

#define SERVICE_CLIENTS_MAX 64

#define SERVICE_INTERFACE               "io.reloader.Control"
#define SERVICE_ERROR_PERMISSION_DENIED SERVICE_INTERFACE ".PermissionDenied" /* () */
#define SERVICE_ERROR_TOO_MANY_CLIENTS  SERVICE_INTERFACE ".TooManyClients"   /* () */
#define SERVICE_ERROR_NOT_IN_THIS_VERSION                                                          \
    SERVICE_INTERFACE ".NotInThisVersion"                             /* (method, ?parameter) */
#define SERVICE_ERROR_SHUTTING_DOWN SERVICE_INTERFACE ".ShuttingDown" /* () */
#define SERVICE_ERROR_FAILED        SERVICE_INTERFACE ".Failed"       /* (reason) */
#define SERVICE_ERROR_NO_PROGRAM    SERVICE_INTERFACE ".NoSuchProgram" /* (name) */
#define SERVICE_ERROR_NO_WORKER     SERVICE_INTERFACE ".NoSuchWorker"  /* (name) */

struct service;

struct service_options {
    const struct command_interface *const *interfaces;
    size_t n_interfaces;
    const struct control_ops *ops;
    void *userdata; /* of ops */
    uint64_t message_timeout_usec, idle_timeout_usec;
};

int service_new(sd_event *event, const struct service_options *options, struct service **ret);
/* Returns NULL. */
struct service *service_free(struct service *service);
DEFINE_FREEP(struct service *, service_free)

/* Takes over the fd of a new client, also when it fails. -EBUSY: there is no place; it was told so. 0 or -errno. */
int service_add(struct service *service, int fd, const struct ucred *peer, enum control_role role);

void service_publish(struct service *service, const char *type, uint64_t sequence, json_t *event);
void service_pass_lines(struct service *service, uint64_t id, json_t *lines);
/* Does any client wait for events or a reload now? */
bool service_is_heard(const struct service *service);

/* Ends every waiting call and pushes out what is queued, until `deadline_usec` (monotonic). Nobody is served any more. */
void service_finish(struct service *service, uint64_t deadline_usec);

/* Sends one error, as far as the socket takes it at once, to somebody who is turned away. */
void service_turn_away(int fd, const char *error);

/* The bit of an event type in a set, 0 if there is no such type. */
unsigned service_event_type(const char *name);
#define SERVICE_EVENTS_ALL (~0u)

/* For handlers. A handler answers, or leaves its call waiting by one of the last four. Parameters are borrowed. */
const struct control_ops *client_ops(const struct client *client);
void *client_ops_userdata(const struct client *client);
/* Borrowed. */
const struct ucred *client_peer(const struct client *client);
void client_reply(struct client *client, json_t *parameters, bool continues);
void client_error(struct client *client, const char *error, json_t *parameters);
/* The call ends with the result of that reload; at once if it is there already. With `more` it is sent progress. */
void client_wait_for_reload(struct client *client, uint64_t id, bool more);
/* Likewise, with the results of a job that was just made. */
void client_wait_for_job(struct client *client, uint64_t id, bool more);
/* The call goes on until the client leaves, with what comes by that id, which then is given back. */
void client_follow(struct client *client, uint64_t id);
/* The call goes on until the client leaves, with an event of these types for each reply. */
void client_subscribe(struct client *client, unsigned types);
