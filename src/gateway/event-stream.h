/*
 * event-stream.h - one client of /events: its place among the events, and the HTTP stream that it reads.
 *
 * Little is queued for a client, and more only when it has read that; what it did not read before the log forgot it, it is told as
 * missed. So one that does not read costs EVENT_STREAM_PENDING_MAX and one event at most, until the HTTP server gives it up.
 */
#pragma once

#include "base/list.h"
#include "gateway/event-cursor.h"
#include "gateway/http.h"

#include <stdbool.h>

#define EVENT_STREAM_PENDING_MAX ((size_t)32 << 10)

struct event_stream {
    struct list link; /* of the owner's */
    struct http_request *request;
    struct event_wish wish;
    struct event_cursor cursor;
    bool is_greeted; /* until then `cursor` is not set */
    bool is_told_gone;
    void *userdata; /* the owner's */
};

/*
 * Begins the stream of the request, which is taken over with the wish; the client is to wait for so long before it comes back. The owner sees
 * when it leaves: then `request` is to be NULL, and the stream to be freed. NULL: want of memory, nothing is taken over.
 */
struct event_stream *event_stream_new(struct http_request *request, struct event_wish *wish,
                                      unsigned retry_msec);
/* Ends it where there is a request still. Returns NULL. */
struct event_stream *event_stream_free(struct event_stream *stream);

/* Tells what there is and was not told yet, as far as the client takes it. The log's start is known. */
void event_stream_feed(struct event_stream *stream, const struct event_log *log);
void event_stream_beat(struct event_stream *stream);
/* There is no master any more. Once. */
void event_stream_tell_gone(struct event_stream *stream);
