/*
 * gateway.h - the HTTP gateway as a whole: an ordinary worker of the reloader, with one connection to the master more.
 *
 *   main.c      from the start to the end: what it is given, its event loop, draining
 *   setup.c     what the master hands to it
 *   http.c      libmicrohttpd in our loop; http-connection.c, http-request.c, http-reply.c, http-body.c, http-stream.c: what its name says
 *   routes.c    the paths; access.c, password.c: who may
 *   link.c      to the master
 *   usage.c     CPU and memory of processes
 *   plain.c     /stats /reload …   probes.c  /healthz /readyz   metrics.c  /metrics
 *   v1.c        /v1/…, of the command table; idl.c, openapi.c: its description
 *   events.c    /events            page.c    /
 */
#pragma once

#include "gateway/http.h"
#include "gateway/link.h"
#include "gateway/usage.h"

#include <stdbool.h>

struct access;
struct events;
struct metrics;

struct gateway {
    sd_event *event;
    struct http *http;
    struct link *link;
    struct access *access;
    struct events *events;
    struct usage *usage;
    struct metrics *metrics;
    char *openapi; /* the description of all paths, made at start */
    bool draining;
    void (*drained)(struct gateway *gateway); /* all connections of a drain are closed */
};

/* A row for each path; ends with one without a path. */
extern const struct http_route gateway_routes[];
/* The row of a path, or NULL. */
const struct http_route *route_find(const char *path);
