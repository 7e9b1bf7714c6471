/*
 * service.h - all clients of the control socket: how many there may be, whom an event reaches, how they end.
 *
 * Clients that are over are freed by a deferred step of the loop, never where that was noticed.
 */
#pragma once

#include "control/command.h"
#include "control/control.h"

#include <sys/socket.h>

/* Clients, and at most one for four descriptors that we may have open. */
#define SERVICE_CLIENTS_MAX 2048
/* Of these, the gateway's, and at most half: they may be idle for as long as they like. */
#define SERVICE_GATEWAY_CLIENTS_MAX 256
/* Bytes queued for all who subscribed; beyond it who reads the least is cut off. */
#define SERVICE_PENDING_MAX ((size_t)16 << 20)

struct service;

struct service_options {
    const struct control_ops *ops;
    void *userdata; /* of ops */
    uint64_t message_timeout_usec, idle_timeout_usec;
};

int service_new(sd_event *event, const struct service_options *options, struct service **ret);
/* Returns NULL. */
struct service *service_free(struct service *service);
DEFINE_FREEP(struct service *, service_free)

/*
 * Takes over the fd of a new client, also when it fails. Where all places are taken, the client that has been idle for longest
 * makes room. -EBUSY: none is idle, or the gateway has too many already; it was told so. 0 or -errno.
 */
int service_add(struct service *service, int fd, const struct control_peer *peer);

/* Are the last events kept, for clients that may come? Else they are no longer than somebody hears them. */
void service_keep_events(struct service *service, bool keep);
/* `sequence` is larger each time. */
void service_publish(struct service *service, const char *type, uint64_t sequence, json_t *event);
void service_pass_lines(struct service *service, uint64_t id, json_t *lines);
void service_answer(struct service *service, uint64_t id, json_t *parameters);
/* Does any client wait for events or a reload now, or may one ask for them later? */
bool service_is_heard(const struct service *service);

/* Ends every waiting call and pushes out what is queued, until `deadline_usec` (monotonic). Nobody is served any more. */
void service_finish(struct service *service, uint64_t deadline_usec);

/* Sends one error, as far as the socket takes it at once, to somebody who is turned away. */
void service_turn_away(int fd, const char *error);
