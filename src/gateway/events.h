/*
 * events.h - /events: what happens, as server-sent events (text/event-stream), for any number of clients out of one subscription.
 *
 * A stream begins with `retry:` and the event `hello`, {"start":…,"last":…,"heartbeat_usec":…}, whose id is where the stream goes on from: a
 * client that loses it comes back with Last-Event-ID and gets all that it missed, from this gateway or the next one. Events have their
 * type as `event:` and their JSON as `data:`. Of our own are `hello`, `missed` (event-cursor.h) and `gone`, {}: there is no master any
 * more, so nothing comes until somebody starts one, whose gateway ends this one. The query is told in event-wish.h.
 */
#pragma once

#include "gateway/gateway.h"

/* Some connections are left for who asks other things; one more is told 503. */
#define EVENTS_STREAMS_MAX 1200
/* A comment, so that both ends see that the other one is there; it has the id to go on from, too. */
#define EVENTS_HEARTBEAT_USEC (15 * USEC_PER_SEC)

/* 0 or -errno. It asks the master for nothing before somebody comes. */
int events_new(struct gateway *gateway, struct events **ret);
/* Ends all streams. Returns NULL. */
struct events *events_free(struct events *events);
DEFINE_FREEP(struct events *, events_free)
/* Who comes now is sent away at once, to come back to the next gateway. http_drain() ends the streams that there are. */
void events_drain(struct events *events);

void events_handle(struct http_request *request, struct gateway *gateway);
