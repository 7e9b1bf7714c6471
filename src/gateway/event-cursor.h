/*
 * event-cursor.h - one stream's walk through the log of events, as fast as its client reads.
 *
 * A stream is no more than the number it is told next: what was and what comes are the same walk, so nothing is lost or doubled between the two, and
 * one that reads slowly costs no memory. What the log forgot before it was told is said in its place, as events `missed`:
 *
 *   {"first":17,"last":212}   these numbers, of whatever type
 *   {"last":212}              likewise, from an unknown one on
 *   {"restarted":true}        what came after the id that the client gave was another master's; all that this one has follows
 *
 * Pure.
 */
#pragma once

#include "gateway/event-wish.h"

#include <stdbool.h>

struct event_cursor {
    struct event_filter filter;
    uint64_t start; /* of the master that `next` is a number of */
    uint64_t next;
    uint64_t
        gone; /* it is still to be told that those up to this one are gone, from an unknown one on; 0: it is not */
};

/* Takes over the filter of the wish. The log's start must be known. */
void event_cursor_begin(struct event_cursor *cursor, struct event_wish *wish,
                        const struct event_log *log);
void event_cursor_end(struct event_cursor *cursor);

/* What it goes on from: a client that comes back with this id misses nothing. */
struct event_id event_cursor_id(const struct event_cursor *cursor);

/* 0, or an error: it was not sent and is told again the next time. */
typedef int (*event_cursor_send)(const char *text, size_t size, void *userdata);
/* Tells what is next until `send` fails. True: all that there is was told. */
bool event_cursor_feed(struct event_cursor *cursor, const struct event_log *log,
                       event_cursor_send send, void *userdata);
