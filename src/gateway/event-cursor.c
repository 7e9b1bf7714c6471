#include "gateway/event-cursor.h"

#include "base/macros.h"

#include <errno.h>
#include <string.h>

/* An id without a start is of this master, unless its number is one that this one did not come to yet. */
static uint64_t start_of(const struct event_id *id, const struct event_log *log)
{
    if (id->start > 0)
        return id->start;
    return id->sequence <= log->ring.last ? log->start : EVENT_START_OF_NONE;
}

void event_cursor_begin(struct event_cursor *cursor, struct event_wish *wish,
                        const struct event_log *log)
{
    *cursor = (struct event_cursor){
        .filter = wish->filter, .start = log->start, .next = log->ring.last + 1};
    wish->filter = (struct event_filter){0};
    switch (wish->from) {
    case EVENT_FROM_NOW:
        break;
    case EVENT_FROM_ID:
        cursor->start = start_of(&wish->id, log);
        cursor->next = wish->id.sequence + 1;
        break;
    case EVENT_FROM_TIME:
        cursor->next = event_ring_since(&log->ring, wish->time_usec, &cursor->gone);
        break;
    }
}

void event_cursor_end(struct event_cursor *cursor)
{
    event_filter_clear(&cursor->filter);
}

struct event_id event_cursor_id(const struct event_cursor *cursor)
{
    return (struct event_id){.start = cursor->start, .sequence = cursor->next - 1};
}

/* Where to send to. */
struct outlet {
    event_cursor_send send;
    void *userdata;
};

/* `id` is what a client that has read this goes on from. */
static int tell_missed(const struct outlet *outlet, const struct event_id *id, json_t *what)
{
    CLEANUP_FREE char *text = event_log_text(id, "missed", what);
    return text ? outlet->send(text, strlen(text), outlet->userdata) : -ENOMEM;
}

static int leave_other_master(struct event_cursor *cursor, const struct event_log *log,
                              const struct outlet *outlet)
{
    const struct event_id id = {.start = log->start};
    if (cursor->start == log->start)
        return 0;
    int r = tell_missed(outlet, &id, json_pack("{s:b}", "restarted", 1));
    if (r < 0)
        return r;
    cursor->start = log->start;
    cursor->next = 1;
    cursor->gone = 0;
    return 0;
}

static int tell_gone(struct event_cursor *cursor, const struct outlet *outlet)
{
    const struct event_id id = {.start = cursor->start, .sequence = cursor->gone};
    if (cursor->gone == 0)
        return 0;
    int r = tell_missed(outlet, &id, json_pack("{s:I}", "last", (json_int_t)cursor->gone));
    if (r < 0)
        return r;
    cursor->gone = 0;
    return 0;
}

/* Up to the next event that there is, NULL: to the end; numbers in between are missing. */
static int skip_to(struct event_cursor *cursor, const struct event_entry *entry,
                   const struct event_log *log, const struct outlet *outlet)
{
    uint64_t to = entry ? entry->sequence : log->ring.last + 1;
    if (to <= cursor->next)
        return 0;
    const struct event_id id = {.start = cursor->start, .sequence = to - 1};
    int r = tell_missed(
        outlet, &id,
        json_pack("{s:I, s:I}", "first", (json_int_t)cursor->next, "last", (json_int_t)(to - 1)));
    if (r < 0)
        return r;
    cursor->next = to;
    return 0;
}

bool event_cursor_feed(struct event_cursor *cursor, const struct event_log *log,
                       event_cursor_send send, void *userdata)
{
    const struct outlet outlet = {.send = send, .userdata = userdata};
    if (leave_other_master(cursor, log, &outlet) < 0 || tell_gone(cursor, &outlet) < 0)
        return false;
    for (;;) {
        const struct event_entry *entry = event_ring_find(&log->ring, cursor->next);
        if (skip_to(cursor, entry, log, &outlet) < 0)
            return false;
        if (!entry)
            return true;
        if (event_filter_passes(&cursor->filter, &entry->facts) &&
            send(entry->text, entry->size, userdata) < 0)
            return false;
        cursor->next = entry->sequence + 1;
    }
}
