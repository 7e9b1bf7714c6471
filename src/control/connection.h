/*
 * connection.h - one client of the control socket: frames in, replies out, everything bounded. It knows no methods.
 *
 * One call at a time: the next one is looked at when the last one's replies have left. Until then further bytes stay in
 * the kernel, so that a client that pipelines without reading stops itself. A client that owes us something (a first
 * message, the rest of one, reading its reply) gets message_timeout, an idle one idle_timeout; one whose call is
 * being answered has no time-out. A client may shut down its sending side and still gets its replies.
 */
#pragma once

#include "control/varlink.h"

#include <systemd/sd-event.h>

#define CONNECTION_MESSAGE_MAX ((size_t)64 << 10) /* of a client, its NUL included */
#define CONNECTION_EVENTS_MAX  ((size_t)1 << 20)  /* that a client has not read yet */
#define CONNECTION_REPLY_MAX   ((size_t)64 << 20) /* beyond any status of ours */

struct connection;

struct connection_ops {
    /* A call came. Answer it now or later by connection_reply() or _error(); a oneway call's answers go nowhere. */
    void (*call)(const struct varlink_call *call, void *userdata);
    /* All that was queued has left: there is room for more. May be NULL. */
    void (*drained)(void *userdata);
    /* It is over; said once, from inside any of the functions below. `reason` is for people, NULL if the client just left. */
    void (*closed)(const char *reason, void *userdata);
};

struct connection_options {
    const struct connection_ops *ops;
    void *userdata;
    uint64_t message_timeout_usec, idle_timeout_usec; /* UINT64_MAX: none */
};

/* Takes over the fd (non-blocking), also when it fails. 0 or -errno. */
int connection_new(sd_event *event, int fd, const struct connection_options *options,
                   struct connection **ret);

/* Not from inside its own callbacks: note `closed` and free it in a later turn of the loop. Returns NULL. */
struct connection *connection_free(struct connection *connection);
DEFINE_FREEP(struct connection *, connection_free)

/* One reply (parameters borrowed or NULL); unless it `continues` it ends the call. Nothing happens once it is closed. */
void connection_reply(struct connection *connection, json_t *parameters, bool continues);
void connection_error(struct connection *connection, const char *error, json_t *parameters);
/*
 * The only reply of a call, with which a descriptor goes over to the client. That is taken over, and closed here once it is sent
 * or the client is gone.
 */
void connection_reply_fd(struct connection *connection, json_t *parameters, int fd);

/* Bytes that the client has not read yet. */
size_t connection_pending(const struct connection *connection);
/* Is nothing under way, neither a call nor a reply? Then since when (monotonic). */
bool connection_is_idle(const struct connection *connection, uint64_t *ret_since_usec);
/* Sends what the socket takes now, instead of in a later turn of the loop. Did it take anything, or is it over? */
bool connection_push(struct connection *connection);
/* Ends it for a reason that `closed` is told. */
void connection_close(struct connection *connection, const char *reason);
/* One more reply to a call with `more`, encoded already. A client that does not read is closed at CONNECTION_EVENTS_MAX. */
void connection_stream(struct connection *connection, const char *text, size_t size);

/* Leaves the event loop (which may have ended already): no further call is taken, connection_flush() sends what is queued. */
void connection_finish(struct connection *connection);
/* Sends what the socket takes now. Returns the fd to wait for while something is left, else -1. */
int connection_flush(struct connection *connection);
