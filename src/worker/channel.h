/*
 * channel.h - the master's end of the socket pair it shares with one worker: one JSON value a line, both ways.
 *
 * A line of more than 64 KiB or one that is no JSON is dropped, counted and logged at a bounded rate; descriptors that
 * come along are closed; reading is throttled. The channel stays open until its owner frees it: closing it would tell the
 * worker that the master is gone. Nothing here ever blocks: what the worker does not take is queued, up to 64 KiB.
 */
#pragma once

#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#define CHANNEL_LINE_MAX ((size_t)64 * 1024)

enum channel_word {
    CHANNEL_READY,        /* "ready" */
    CHANNEL_FULLY_CLOSED, /* "fully_closed" */
    CHANNEL_HELLO,        /* {"reloader":"hello","drain":true}, and "spread":true */
    CHANNEL_STATUS,       /* {"reloader":"status","text":"…"} */
    CHANNEL_MESSAGE,      /* any other value: the application's own */
};

/* What a worker's line means. A pure function. */
enum channel_word channel_classify(const json_t *value);
/*
 * Is it a word that means something between the master and a worker, be it to Node's own library ({"cmd":"NODE_…"})? Operators' messages must
 * not be. A pure function.
 */
bool channel_is_own_word(const json_t *value);

struct channel_ops {
    /* The value is borrowed. The channel must not be freed in here. */
    void (*received)(enum channel_word word, json_t *value, void *userdata);
    /*
     * The worker closed its end; once. `unread`: it did so without having read all that was sent (the kernel says ECONNRESET
     * then). The channel must not be freed in here.
     */
    void (*closed)(bool unread, void *userdata);
};

struct channel;

/*
 * Makes the pair; *ret_worker_fd is the worker's end (owned by the caller, CLOEXEC). `name` (borrowed, must outlive the
 * channel) and the ops serve until channel_free().
 */
int channel_new(sd_event *event, const char *name, const struct channel_ops *ops, void *userdata,
                struct channel **ret, int *ret_worker_fd);
struct channel *channel_free(struct channel *channel);
DEFINE_FREEP(struct channel *, channel_free)

/* Sends one line. 0, -ENOBUFS when the worker has not read 64 KiB of earlier ones, -EPIPE when it closed its end. */
int channel_send(struct channel *channel, const json_t *value);
/*
 * The same for what operators say: a line with its newline, at most CHANNEL_LINE_MAX bytes. It leaves room for the master's own words
 * where a worker does not read.
 */
int channel_send_line(struct channel *channel, const char *line, size_t size);

/*
 * The same with descriptors (borrowed; 1 to CHANNEL_FDS_MAX). They travel with the line's first byte and never wait in the
 * queue: -EAGAIN when something does, or when the socket takes nothing now; then the line is not sent at all. -ETOOMANYREFS:
 * this user has too many on their way already (RLIMIT_NOFILE); or what sendmsg(2) says.
 */
#define CHANNEL_FDS_MAX 253
int channel_send_fds(struct channel *channel, const json_t *value, const int *fds, size_t n_fds);

/* Has the worker left unread anything that was sent? False once it closed its end. */
bool channel_is_unread(const struct channel *channel);
bool channel_is_closed(const struct channel *channel);

/* Reads what a worker that is gone has left behind, bounded by what the kernel can hold. */
void channel_read_rest(struct channel *channel);
