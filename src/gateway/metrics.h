/*
 * metrics.h - GET /metrics: the master's Status, and what its processes use, for Prometheus.
 *
 * Nothing is remembered for longer than a Status is good for: counters are the master's and the kernel's, and what is gone is not told any more. The text is as long
 * as Status is, about a kilobyte for each worker. It is made once for all who get the same Status, and METRICS_BODIES_MAX of them are there at a time, however
 * slowly they are read: one more is told 503.
 */
#pragma once

#include "base/macros.h"
#include "gateway/http.h"
#include "process/usage.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define METRICS_BODIES_MAX 16u

struct gateway;
struct metrics;

/* 0 or -errno. */
int metrics_new(sd_event *event, struct metrics **ret);
/* After http_free(): answers that are being sent refer to it. Returns NULL. */
struct metrics *metrics_free(struct metrics *metrics);
DEFINE_FREEP(struct metrics *, metrics_free)

void metrics_handle(struct http_request *request, struct gateway *gateway);

/* What a process used when it was looked at. */
struct metrics_process {
    pid_t pid;
    struct process_usage usage;
};

/* Looked at once, so that all that is told of a process belongs together. By pid. */
struct metrics_processes {
    struct metrics_process *list;
    size_t n;
    uint64_t booted_usec; /* when the system was, by the real clock; 0: unknown */
};

/* The processes of a Status: its master, helpers and workers; those that cannot be looked at are left out. 0 or -ENOMEM. */
int metrics_look(const json_t *status, struct metrics_processes *ret);
void metrics_processes_clear(struct metrics_processes *processes);
#define CLEANUP_METRICS_PROCESSES CLEANUP(metrics_processes_clear)

struct metrics_source {
    const json_t *status; /* NULL: no master answers */
    const struct metrics_processes *processes;
    unsigned connections; /* of the gateway */
};

/* A pure function. What Status has not is left out. 0 and a malloc-ed text, or -ENOMEM. */
int metrics_render(const struct metrics_source *source, bool openmetrics, char **ret,
                   size_t *ret_size);
