/*
 * link-connection.h - one connection to the master: a call goes out, its replies come in. It knows nothing of other connections.
 *
 * One call at a time. What the master says must be Varlink and asked for: else, as when it closes, the connection is gone.
 */
#pragma once

#include "gateway/link.h"

#include <stddef.h>

/* The longest call that a master takes, its NUL included; and the longest reply that we take. */
#define LINK_CALL_MAX  ((size_t)64 << 10)
#define LINK_REPLY_MAX ((size_t)16 << 20)

struct link_connection;

/* The connection may be freed from within either. */
struct link_connection_ops {
    /* *fd: what came with it, or -1; closed afterwards unless it is taken. */
    void (*reply)(const struct link_reply *reply, int *fd, void *userdata);
    /* Said once, and never from within the functions below. A call that was on its way gets no further reply. */
    void (*gone)(void *userdata);
};

/* Takes over the fd, also when it fails. 0 or -errno. */
int link_connection_new(sd_event *event, int fd, const struct link_connection_ops *ops,
                        void *userdata, struct link_connection **ret);
struct link_connection *link_connection_free(struct link_connection *connection);
DEFINE_FREEP(struct link_connection *, link_connection_free)

/* A call whose last reply has not come yet. */
bool link_connection_is_busy(const struct link_connection *connection);
/* Sends a call, whose text ends with a NUL that `size` counts; not on one that is busy. `more`: replies may continue. 0 or -errno. */
int link_connection_call(struct link_connection *connection, const char *text, size_t size,
                         bool more);
