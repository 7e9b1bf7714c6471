/*
 * v1-call.h - a call to the master, for a request that waits for it: one answer, or server-sent events. For v1.c.
 *
 * An event `reply` has a reply, an event `error` problem details; `end` comes last of all, and tells a browser's EventSource that it need not come back. Comments in
 * between show proxies that the stream lives. Who does not read gets no more than HTTP_STREAM_QUEUE_MAX, of which a part is kept for saying so.
 */
#pragma once

#include "control/command.h"
#include "gateway/gateway.h"
#include "gateway/problem.h"

#define V1_HEARTBEAT_USEC (15 * USEC_PER_SEC)
/* For an `error` and the `end`. */
#define V1_STREAM_RESERVE ((size_t)2 * 1024)

/* Answers by and by; takes over `parameters`. */
void v1_call(struct http_request *request, struct gateway *gateway, const struct command *command,
             json_t *parameters, bool streams);

/* Answers; `members` are borrowed and may be NULL. */
void v1_reply_problem(struct http_request *request, const struct problem_kind *kind,
                      json_t *members);
