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
/* Calls that wait for a connection. */
#define LINK_QUEUE_MAX 1024

struct link;
struct link_call;

/* Errors of ours, where the master said none. */
#define LINK_ERROR_GONE "gone" /* there is no master any more */
#define LINK_ERROR_BUSY "busy" /* too many calls wait already */

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

/* Never from within link_call(). After one without `continues` the call is gone. */
typedef void (*link_handler)(const struct link_reply *reply, void *userdata);

/* Takes over the fd. */
int link_new(sd_event *event, int fd, struct link **ret);
struct link *link_free(struct link *link);
DEFINE_FREEP(struct link *, link_free)
bool link_is_up(const struct link *link);

/*
 * Calls a method of io.reloader.Control, given without its interface. Takes over `parameters`, which may be NULL for none. The handler is called in any case,
 * with an error if need be, unless the call is cancelled. *ret may be NULL. 0 or -ENOMEM: then it is not called.
 */
int link_call(struct link *link, const char *method, json_t *parameters, unsigned flags,
              link_handler handler, void *userdata, struct link_call **ret);
/* Nobody waits for it any more: its handler is not called. What it asked for may still happen. NULL is allowed. Returns NULL. */
struct link_call *link_cancel(struct link_call *call);

/*
 * Status, for many who want it at once: all that ask while one is on its way share the next one, and an answer is good for 100 ms. So no number of
 * requests asks the master for more than ten a second. The handler gets the reply, not from within this function; a waiter that goes is removed by link_cancel().
 */
int link_status(struct link *link, link_handler handler, void *userdata, struct link_call **ret);
/* Something was changed by us: what is known is not good any more. */
void link_forget_status(struct link *link);
