/*
 * event-log.h - the last events as the text that a browser's EventSource reads (server-sent events), and the ids that it goes on from.
 *
 * The text of an event is made once, when it comes, for all streams there will be. Numbers are the master's: an id names the master, by the time
 * at which it began, and the number. So it means the same to this gateway and to the one after it. Bounded as the master's own
 * ring is (control/event-ring.h), 4096 events of 1 MiB together. Pure.
 */
#pragma once

#include "control/event-ring.h"

#include <stdint.h>

/* Of an event's text; one that is longer is told without its large members, whose names are in `omitted`. */
#define EVENT_TEXT_MAX ((size_t)128 << 10)

/* "1763740000000000-212"; a plain "212" is of the master that there is: its start is 0. */
struct event_id {
    uint64_t start, sequence;
};
/* No master began then, and no id says so. */
#define EVENT_START_OF_NONE ((uint64_t)INT64_MAX)
/* 0 or -EINVAL. */
int event_id_parse(const char *text, struct event_id *ret);

struct event_log {
    struct event_ring ring;
    uint64_t start; /* of the master whose numbers these are; 0: not known yet */
};

void event_log_init(struct event_log *log);
void event_log_clear(struct event_log *log);
/* What follows is of that master: nothing is kept of another one. */
void event_log_begin(struct event_log *log, uint64_t start);
/* 0, or -ENOMEM: then its number is missing. One that is there already (its number is not larger) is left out. */
int event_log_add(struct event_log *log, uint64_t sequence, json_t *event);
/* Events up to that number are missing. */
void event_log_skip(struct event_log *log, uint64_t sequence);

/* A whole event as EventSource reads it, or NULL: no memory. Takes over `data`. */
char *event_log_text(const struct event_id *id, const char *type, json_t *data);
