/*
 * subscription.h - one subscriber's walk through the ring of events, as fast as its connection takes them.
 *
 * What it did not read before the ring had no place for it any more, it is told of by number:
 * {"missed":{"first":17,"last":212}}, before what comes next. It is never cut off for that: it costs no more than one that reads.
 */
#pragma once

#include "base/macros.h"
#include "control/connection.h"
#include "control/event-ring.h"

/* What it asked for. */
struct subscription_wish {
    struct event_filter filter; /* taken over */
    bool after; /* … the event `sequence` of the master `start` (0: of this one) */
    uint64_t sequence, start;
    bool from; /* … the time `time_usec` on. Neither: what comes from now on */
    uint64_t time_usec;
};

struct subscription {
    struct event_filter filter;
    uint64_t next; /* the number that it is told next */
    uint64_t
        gone; /* it is still to be told that events up to this one are, from an unknown one on; 0: it is not */
};

/* Where it begins. False: what it saw last was another master's event, so it gets all that this one has. */
bool subscription_begin(struct subscription *subscription, struct subscription_wish *wish,
                        const struct event_ring *ring, uint64_t start);
void subscription_end(struct subscription *subscription);

/* Queues what is next, as long as there is little queued. True: it is told all that there is. */
bool subscription_feed(struct subscription *subscription, const struct event_ring *ring,
                       struct connection *connection);
