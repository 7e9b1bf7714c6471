#include "control/subscription.h"

/* Queued for one that does not read, and one event more; the kernel has as much again, and the ring the rest. */
#define PENDING_MAX ((size_t)8 << 10)

bool subscription_begin(struct subscription *subscription, struct subscription_wish *wish,
                        const struct event_ring *ring, uint64_t start)
{
    bool ours = !wish->after ||
                ((wish->start == 0 || wish->start == start) && wish->sequence <= ring->last);
    uint64_t gone = 0, next = ring->last + 1;
    if (wish->after)
        next = ours ? wish->sequence + 1 : 1;
    else if (wish->from)
        next = event_ring_since(ring, wish->time_usec, &gone);
    *subscription = (struct subscription){.filter = wish->filter, .next = next, .gone = gone};
    wish->filter = (struct event_filter){0};
    return ours;
}

void subscription_end(struct subscription *subscription)
{
    event_filter_clear(&subscription->filter);
}

static void tell_missed(struct connection *connection, json_t *missed)
{
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    json_auto_t *parameters = json_pack("{s:o}", "missed", missed);
    if (parameters && varlink_encode_reply(parameters, true, &text, &size) == 0)
        connection_stream(connection, text, size);
}

/* Moves on to the next event that there is, NULL: to the end; numbers in between are missing. */
static void skip_to(struct subscription *s, const struct event_entry *entry,
                    const struct event_ring *ring, struct connection *connection)
{
    uint64_t to = entry ? entry->sequence : ring->last + 1;
    if (s->gone > 0)
        tell_missed(connection, json_pack("{s:I}", "last", (json_int_t)s->gone));
    s->gone = 0;
    if (to <= s->next)
        return;
    tell_missed(connection, json_pack("{s:I, s:I}", "first", (json_int_t)s->next, "last",
                                      (json_int_t)(to - 1)));
    s->next = to;
}

bool subscription_feed(struct subscription *s, const struct event_ring *ring,
                       struct connection *connection)
{
    while (connection_pending(connection) <= PENDING_MAX) {
        const struct event_entry *entry = event_ring_find(ring, s->next);
        skip_to(s, entry, ring, connection);
        if (!entry)
            return true;
        s->next = entry->sequence + 1;
        if (event_filter_passes(&s->filter, &entry->facts))
            connection_stream(connection, entry->text, entry->size);
    }
    return false;
}
