#include "gateway/event-log.h"

#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NUMBER_SIZE 24

int event_id_parse(const char *text, struct event_id *ret)
{
    struct event_id id = {0};
    char start[NUMBER_SIZE];
    const char *dash = strchr(text, '-');
    if (dash) {
        size_t length = (size_t)(dash - text);
        if (length >= sizeof(start))
            return -EINVAL;
        memcpy(start, text, length);
        start[length] = '\0';
        if (parse_unsigned(start, 1, INT64_MAX - 1, &id.start) < 0)
            return -EINVAL;
    }
    if (parse_unsigned(dash ? dash + 1 : text, 0, INT64_MAX - 1, &id.sequence) < 0)
        return -EINVAL;
    *ret = id;
    return 0;
}

void event_log_init(struct event_log *log)
{
    *log = (struct event_log){0};
    event_ring_init(&log->ring);
}

void event_log_clear(struct event_log *log)
{
    event_ring_clear(&log->ring);
    event_log_init(log);
}

void event_log_begin(struct event_log *log, uint64_t start)
{
    if (log->start == start)
        return;
    event_log_clear(log);
    log->start = start;
}

void event_log_skip(struct event_log *log, uint64_t sequence)
{
    event_ring_skip(&log->ring, sequence);
}

/* Text */

/* What stands in a line of its own must not begin another one. */
static const char *safe_type(const char *type)
{
    return type && *type != '\0' && type[strspn(type, "abcdefghijklmnopqrstuvwxyz_")] == '\0'
               ? type
               : "other";
}

char *event_log_text(const struct event_id *id, const char *type, json_t *data)
{
    json_auto_t *own = data;
    CLEANUP_FREE char *json = own ? json_dumps(own, JSON_COMPACT) : NULL;
    return json ? string_format("id: %" PRIu64 "-%" PRIu64 "\nevent: %s\ndata: %s\n\n", id->start,
                                id->sequence, safe_type(type), json)
                : NULL;
}

static char *text_of(const struct event_id *id, json_t *event)
{
    return event_log_text(id, json_string_value(json_object_get(event, "type")),
                          json_incref(event));
}

static char *fitting_text(const struct event_id *id, json_t *event)
{
    CLEANUP_FREE char *text = text_of(id, event);
    if (!text || strlen(text) <= EVENT_TEXT_MAX)
        return TAKE_PTR(text);
    json_auto_t *brief = event_shorten(event);
    CLEANUP_FREE char *shorter = brief ? text_of(id, brief) : NULL;
    return shorter && strlen(shorter) <= EVENT_TEXT_MAX ? TAKE_PTR(shorter) : NULL;
}

int event_log_add(struct event_log *log, uint64_t sequence, json_t *event)
{
    if (sequence <= log->ring.last)
        return 0;
    const struct event_id id = {.start = log->start, .sequence = sequence};
    const char *type = json_string_value(json_object_get(event, "type"));
    CLEANUP_FREE char *data = fitting_text(&id, event);
    const struct event_text text = {
        .type = type ? event_filter_type(type) : 0,
        .data = data,
        .size = data ? strlen(data) : 0,
    };
    event_ring_skip(&log->ring, sequence);
    return data ? event_ring_add_text(&log->ring, sequence, event, &text) : -ENOMEM;
}
