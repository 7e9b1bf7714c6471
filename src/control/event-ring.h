/*
 * event-ring.h - the last events, as the bytes that tell them: Varlink replies, or what another server makes of them.
 *
 * Whoever subscribes is a number in here: what comes live and what is told again are the same walk through the ring, so nothing
 * gets lost or doubled between the two; and one who reads slowly costs no memory of his own. The oldest make room for the newest;
 * numbers that are missing tell who walks what he missed. Bounded by count and bytes. Pure but for allocation.
 */
#pragma once

#include "control/event-filter.h"

#include <stddef.h>
#include <stdint.h>

#define EVENT_RING_EVENTS_MAX 4096
#define EVENT_RING_BYTES_MAX  ((size_t)1 << 20)
/* Of one event. What the application says, at most 64 KiB, grows to no more even where each digit of it becomes twenty. */
#define EVENT_SIZE_MAX ((size_t)512 << 10)

struct event_entry {
    uint64_t sequence, time_usec; /* of the real clock */
    struct event_facts facts;
    const char *text; /* of event_ring_add(): a whole Varlink reply; `size` counts its NUL */
    size_t size;
    char data[]; /* what the others point into */
};

struct event_ring {
    struct event_entry **entries; /* circular */
    size_t begin, n, allocated;
    size_t bytes;
    uint64_t last;      /* the number of the newest event, also of one that was not kept; 0: none */
    uint64_t gone;      /* of the newest that is not kept any more, or never was; 0: none */
    uint64_t gone_usec; /* and its time, or that of the first kept after it */
};

void event_ring_init(struct event_ring *ring);
/* Forgets all that it keeps; numbers go on. */
void event_ring_clear(struct event_ring *ring);

/*
 * The event under that number, which must be larger than all before. 0, -ENOMEM, or -EMSGSIZE: beyond EVENT_SIZE_MAX; then it is not
 * kept, as if it were gone.
 */
int event_ring_add(struct event_ring *ring, unsigned type, uint64_t sequence, json_t *event);
/* The same for a text that the caller made, `type` being the event's. It is copied. */
struct event_text {
    unsigned type;
    const char *data;
    size_t size;
};
int event_ring_add_text(struct event_ring *ring, uint64_t sequence, json_t *event,
                        const struct event_text *text);
/* One that can't be kept: only its number is. */
void event_ring_skip(struct event_ring *ring, uint64_t sequence);
/* The first one with that number or a larger one, or NULL. Valid until the next one is added. */
const struct event_entry *event_ring_find(const struct event_ring *ring, uint64_t sequence);
/*
 * The number to go on from for all that happened at that time or later. *ret_gone: some of these may be gone, the newest of them has that
 * number; else 0.
 */
uint64_t event_ring_since(const struct event_ring *ring, uint64_t time_usec, uint64_t *ret_gone);

/*
 * What is told of an event that is too large: its small members, and in `omitted` the names of the others. A new reference, or NULL: no
 * memory.
 */
json_t *event_shorten(json_t *event);
