#include "control/event-ring.h"

#include "base/macros.h"
#include "control/varlink.h"

#include <errno.h>
#include <string.h>

#define RING_BEGIN   64
#define STRING_SHORT 1024

void event_ring_init(struct event_ring *ring)
{
    *ring = (struct event_ring){0};
}

static struct event_entry **place(const struct event_ring *ring, size_t i)
{
    return &ring->entries[(ring->begin + i) % ring->allocated];
}

static size_t cost_of(const struct event_entry *entry)
{
    return sizeof(*entry) + entry->size;
}

static void drop_oldest(struct event_ring *ring)
{
    struct event_entry *oldest = *place(ring, 0);
    ring->gone = oldest->sequence;
    ring->gone_usec = oldest->time_usec;
    ring->bytes -= cost_of(oldest);
    ring->begin = (ring->begin + 1) % ring->allocated;
    ring->n--;
    free(oldest);
}

void event_ring_clear(struct event_ring *ring)
{
    while (ring->n > 0)
        drop_oldest(ring);
    free(ring->entries);
    ring->entries = NULL;
    ring->begin = ring->allocated = 0;
}

/* Entries */

/* At *at, which moves behind it. */
static const char *copy_string(char **at, const char *string)
{
    if (!string)
        return NULL;
    char *copy = *at;
    *at = stpcpy(copy, string) + 1;
    return copy;
}

static size_t space_of(const char *string)
{
    return string ? strlen(string) + 1 : 0;
}

static struct event_entry *entry_new(const struct event_facts *facts, const char *text, size_t size)
{
    size_t space = size + space_of(facts->program) + space_of(facts->worker) +
                   space_of(facts->command);
    struct event_entry *entry = malloc(sizeof(*entry) + space);
    if (!entry)
        return NULL;
    char *at = entry->data + size;
    *entry = (struct event_entry){.facts = *facts, .text = entry->data, .size = size};
    memcpy(entry->data, text, size);
    entry->facts.program = copy_string(&at, facts->program);
    entry->facts.worker = copy_string(&at, facts->worker);
    entry->facts.command = copy_string(&at, facts->command);
    return entry;
}

/* The entry keeps what a subscriber's filter asks for, and the event's time. */
static struct event_entry *describe(const struct event_text *text, uint64_t sequence, json_t *event)
{
    const struct event_facts facts = event_facts_of(text->type, event);
    struct event_entry *entry = entry_new(&facts, text->data, text->size);
    if (!entry)
        return NULL;
    entry->sequence = sequence;
    entry->time_usec = (uint64_t)json_integer_value(json_object_get(event, "time_usec"));
    return entry;
}

/* Room */

static int make_room(struct event_ring *ring)
{
    if (ring->n < ring->allocated)
        return 0;
    size_t allocated = MAX(ring->allocated * 2, (size_t)RING_BEGIN);
    struct event_entry **larger = calloc(allocated, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    for (size_t i = 0; i < ring->n; i++)
        larger[i] = *place(ring, i);
    free(ring->entries);
    ring->entries = larger;
    ring->allocated = allocated;
    ring->begin = 0;
    return 0;
}

/* What came before the first one that is kept: nobody knows when. */
static void note_beginning(struct event_ring *ring, const struct event_entry *first)
{
    if (ring->n > 0 || first->sequence == ring->gone + 1)
        return;
    ring->gone = first->sequence - 1;
    ring->gone_usec = first->time_usec;
}

void event_ring_skip(struct event_ring *ring, uint64_t sequence)
{
    ring->last = MAX(ring->last, sequence);
}

int event_ring_add_text(struct event_ring *ring, uint64_t sequence, json_t *event,
                        const struct event_text *text)
{
    event_ring_skip(ring, sequence);
    if (text->size > EVENT_SIZE_MAX)
        return -EMSGSIZE;
    struct event_entry *entry = describe(text, sequence, event);
    if (!entry)
        return -ENOMEM;
    while (ring->n > 0 && (ring->n == EVENT_RING_EVENTS_MAX ||
                           ring->bytes + cost_of(entry) > EVENT_RING_BYTES_MAX))
        drop_oldest(ring);
    int r = make_room(ring);
    if (r < 0) {
        free(entry);
        return r;
    }
    note_beginning(ring, entry);
    ring->bytes += cost_of(entry);
    *place(ring, ring->n++) = entry;
    return 0;
}

int event_ring_add(struct event_ring *ring, unsigned type, uint64_t sequence, json_t *event)
{
    CLEANUP_FREE char *data = NULL;
    struct event_text text = {.type = type};
    event_ring_skip(ring, sequence);
    json_auto_t *parameters = json_pack("{s:I, s:O}", "sequence", (json_int_t)sequence, "event",
                                        event);
    int r = parameters ? varlink_encode_reply(parameters, true, &data, &text.size) : -ENOMEM;
    if (r < 0)
        return r;
    text.data = data;
    return event_ring_add_text(ring, sequence, event, &text);
}

/* Looking */

const struct event_entry *event_ring_find(const struct event_ring *ring, uint64_t sequence)
{
    size_t low = 0, high = ring->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((*place(ring, middle))->sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ring->n ? *place(ring, low) : NULL;
}

/* From the oldest on, as a clock that was set back makes times that are not in order. */
uint64_t event_ring_since(const struct event_ring *ring, uint64_t time_usec, uint64_t *ret_gone)
{
    *ret_gone = ring->gone > 0 && ring->gone_usec >= time_usec ? ring->gone : 0;
    for (size_t i = 0; i < ring->n; i++) {
        const struct event_entry *entry = *place(ring, i);
        if (entry->time_usec >= time_usec)
            return entry->sequence;
    }
    return ring->last + 1;
}

/* Too large */

static bool is_short(json_t *value)
{
    if (json_is_string(value))
        return json_string_length(value) <= STRING_SHORT;
    return !json_is_object(value) && !json_is_array(value);
}

json_t *event_shorten(json_t *event)
{
    json_auto_t *shortened = json_object();
    json_t *omitted = json_array(), *value;
    const char *name;
    if (!shortened || json_object_set_new(shortened, "omitted", omitted) < 0)
        return NULL;
    json_object_foreach(event, name, value)
    {
        int r = is_short(value) ? json_object_set(shortened, name, value)
                                : json_array_append_new(omitted, json_string(name));
        if (r < 0)
            return NULL;
    }
    return TAKE_PTR(shortened);
}
