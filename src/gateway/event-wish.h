/*
 * event-wish.h - what a client of /events asks for, as its query and its Last-Event-ID say it. Pure.
 *
 *   type=worker,reload      of these types alone      (more than once, and with commas)
 *   program=web             PROGRAM, PROGRAM:SLOT, PROGRAM:* or a worker's name      (more than once)
 *   cmd=progress            of messages alone, those whose member cmd is that; without type, messages alone      (more than once)
 *   since=212, since=1763740000000000-212, since=5m      those after that number or id, or of the last five minutes, first
 *   since_usec=1763740000000000      those since that time, first
 *   last_event_id=…         as since; what Last-Event-ID says counts more
 */
#pragma once

#include "gateway/event-log.h"

/* Of each filter. */
#define EVENT_WISH_WORDS_MAX 64

enum event_from { EVENT_FROM_NOW, EVENT_FROM_ID, EVENT_FROM_TIME };

struct event_wish {
    struct event_filter filter;
    enum event_from from;
    struct event_id id;
    uint64_t time_usec; /* of the real clock */
};

/*
 * One parameter; `now_usec` is the real clock's. 0, -ENOMEM, or -EINVAL with *ret_why for people, static. The wish begins as zero and is to be cleared
 * in any case.
 */
int event_wish_add(struct event_wish *wish, const char *name, const char *value, uint64_t now_usec,
                   const char **ret_why);
/* After the last one. `last_event_id`: of the header, or NULL. One that is no id of ours counts as another master's. */
void event_wish_complete(struct event_wish *wish, const char *last_event_id);
void event_wish_clear(struct event_wish *wish);
