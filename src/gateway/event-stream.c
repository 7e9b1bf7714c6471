#include "gateway/event-stream.h"

#include "gateway/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int send_text(const char *text, size_t size, void *userdata)
{
    const struct event_stream *stream = userdata;
    if (http_stream_pending(stream->request) > EVENT_STREAM_PENDING_MAX)
        return -ENOBUFS;
    return http_stream_send(stream->request, text, size);
}

struct event_stream *event_stream_new(struct http_request *request, struct event_wish *wish,
                                      unsigned retry_msec)
{
    char retry[32];
    struct event_stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    *stream = (struct event_stream){.request = request, .wish = *wish};
    *wish = (struct event_wish){0};
    list_init(&stream->link);
    http_add_header(request, "X-Accel-Buffering", "no");
    http_stream_begin(request, "text/event-stream");
    (void)snprintf(retry, sizeof(retry), "retry: %u\n\n", retry_msec);
    (void)send_text(retry, strlen(retry), stream);
    return stream;
}

struct event_stream *event_stream_free(struct event_stream *stream)
{
    if (!stream)
        return NULL;
    if (stream->request)
        http_stream_end(stream->request);
    list_remove(&stream->link);
    event_cursor_end(&stream->cursor);
    event_wish_clear(&stream->wish);
    free(stream);
    return NULL;
}

static int greet(struct event_stream *stream, const struct event_log *log)
{
    event_cursor_begin(&stream->cursor, &stream->wish, log);
    const struct event_id id = event_cursor_id(&stream->cursor);
    CLEANUP_FREE char *text = event_log_text(
        &id, "hello",
        json_pack("{s:I, s:I, s:I}", "start", (json_int_t)log->start, "last",
                  (json_int_t)log->ring.last, "heartbeat_usec", (json_int_t)EVENTS_HEARTBEAT_USEC));
    return text ? send_text(text, strlen(text), stream) : -ENOMEM;
}

void event_stream_feed(struct event_stream *stream, const struct event_log *log)
{
    if (!stream->is_greeted) {
        /* It knows its place even where there is no memory to say so. */
        (void)greet(stream, log);
        stream->is_greeted = true;
    }
    (void)event_cursor_feed(&stream->cursor, log, send_text, stream);
}

/* An id without data is no event, but moves the place that the client comes back with: past what its filter left out. */
void event_stream_beat(struct event_stream *stream)
{
    char text[96] = ": heartbeat\n\n";
    if (stream->is_greeted) {
        struct event_id id = event_cursor_id(&stream->cursor);
        (void)snprintf(text, sizeof(text), ": heartbeat\nid: %" PRIu64 "-%" PRIu64 "\n\n", id.start,
                       id.sequence);
    }
    if (http_stream_pending(stream->request) == 0)
        (void)send_text(text, strlen(text), stream);
}

void event_stream_tell_gone(struct event_stream *stream)
{
    static const char text[] = "event: gone\ndata: {}\n\n";
    if (!stream->is_told_gone && send_text(text, sizeof(text) - 1, stream) == 0)
        stream->is_told_gone = true;
}
