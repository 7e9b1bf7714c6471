/*
 * link.h - to the master: calls over the control connection that it gave us.
 *
 * One connection serves short calls one after the other; a call that goes on (`more`), or may take long, has one of its own, which is asked for
 * by Connect and kept for the next such call. So none waits for another, and the master sees at most LINK_CONNECTIONS_MAX of us.
 */
#pragma once

#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#define LINK_CONNECTIONS_MAX 64
/* Of them, those that calls with LINK_MORE may have, so that a reload always finds one that becomes free. */
#define LINK_STREAMS_MAX 48
/* Connections that are kept while nobody uses them. */
#define LINK_IDLE_MAX 8
/* Calls that wait for a connection, of each kind; and those that wait for a status. */
#define LINK_QUEUE_MAX  1024
#define LINK_STATUS_MAX 2048
/* How long a short call waits for its reply: a master that lives answers at once. */
#define LINK_ANSWER_USEC (30 * USEC_PER_SEC)
/* How long a status is good. */
#define LINK_STATUS_USEC (100 * USEC_PER_MSEC)

struct link;
struct link_call;

/* Errors of ours, where the master said none. */
#define LINK_ERROR_GONE                                                                            \
    "gone" /* there is no master any more, or it closed this call's connection */
#define LINK_ERROR_BUSY    "busy"    /* too many calls wait already, or too many streams run */
#define LINK_ERROR_TIMEOUT "timeout" /* the master does not answer: stopped, or very busy */
#define LINK_ERROR_INVALID "invalid" /* longer than 64 KiB, or nested too deep: no call */

/* What flags of link_call() mean. */
enum link_flags {
    LINK_MORE = 1 << 0, /* more than one reply: all but the last have `continues` */
    LINK_LONG = 1 << 1, /* may take long: a reload that is waited for */
};

struct link_reply {
    const char
        *error; /* its full name, as "io.reloader.Control.NoSuchProgram"; NULL: it went well */
    json_t *parameters; /* of the reply or the error; an object; borrowed */
    bool continues;
};

/* Never from within link_call() or link_status(). It may call and cancel; after one without `continues` its own call is gone. */
typedef void (*link_handler)(const struct link_reply *reply, void *userdata);

/* Takes over the fd, also when it fails. */
int link_new(sd_event *event, int fd, struct link **ret);
/* Not from within a handler. Handlers of calls that are there are not called. */
struct link *link_free(struct link *link);
DEFINE_FREEP(struct link *, link_free)
bool link_is_up(const struct link *link);
/* `down` is called once, when the first connection is gone, and with it the link. It may call, but not free the link. */
void link_on_down(struct link *link, void (*down)(void *userdata), void *userdata);

/*
 * Calls a method of io.reloader.Control, given without its interface. Takes over `parameters`, which may be NULL for none. The handler is called in any case,
 * with an error if need be, unless the call is cancelled. *ret may be NULL. 0 or -ENOMEM: then it is not called.
 */
int link_call(struct link *link, const char *method, json_t *parameters, unsigned flags,
              link_handler handler, void *userdata, struct link_call **ret);
/* Nobody waits for it any more: its handler is not called. What it asked for may still happen. NULL is allowed. Returns NULL. */
struct link_call *link_cancel(struct link_call *call);

/*
 * Status, for many who want it at once: it is good for LINK_STATUS_USEC from when it was asked for, and who asks meanwhile shares it. So no number of
 * requests asks the master for more than ten a second. A waiter that goes is removed by link_cancel().
 */
int link_status(struct link *link, link_handler handler, void *userdata, struct link_call **ret);
/* Something was changed by us: who asks from now on gets a status that was asked for later than this. */
void link_forget_status(struct link *link);
