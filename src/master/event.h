/*
 * event.h - the one bus for everything worth telling: the control socket, programs' hooks, and whoever else listens.
 *
 * An event is a JSON object: {"type": …, "time_usec": realtime, fields of its type}. Events count from 1, those that nobody
 * listened to left out; so a listener sees no gap. Subscribers are called one after the other, from inside the event loop; they only queue.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>

enum event_type {
    EVENT_MASTER, /* state: "starting" "running" "reloading" "stopping"; reason */
    /*
     * id, state: "checking" "began" (with its plan) "canaries" "rolling" "rolling_back" "ended"; at the end what History tells of
     * it: result, reason, duration_usec, programs[] {name, result, generation, workers, reason, slots[]} …
     */
    EVENT_RELOAD,
    EVENT_ROLLOUT, /* reload, program, step: "canary" "rolling" "done" "rolling_back" "rolled_back" "degraded"; ready, workers */
    /*
     * program, name, slot, pid, generation, old, new, reason; crashed: true where it died without being told to leave or having
     * done its work. Of a slot that was given up: program, slot, old: "NONE", new: "FATAL", reason.
     */
    EVENT_WORKER,
    EVENT_SOCKET,  /* state: "listening" "removed"; name, address, inode */
    EVENT_JOB,     /* id, verb, state: "progress" (with its target {program, slot, result, reason}) "ended" (with results[]) */
    EVENT_LOG, /* program, name, slot, pid, generation, stream, text: a line; missed: so many before it were left out */
    EVENT_MESSAGE, /* program, name, slot, pid, value: what the application said */
};
const char *event_type_to_string(enum event_type type);

struct event_subscriber {
    struct list link;
    /* `event` is borrowed. */
    void (*handle)(enum event_type type, uint64_t sequence, json_t *event, void *userdata);
    /* Lines for one follower (followers.h), which is no event; may be NULL. */
    void (*lines)(uint64_t follower, json_t *lines, void *userdata);
    /* The answer to an inquiry (why.h), which is no event either, nor shared; may be NULL. */
    void (*answer)(uint64_t inquiry, json_t *answer, void *userdata);
    /* Is anybody behind it now? What nobody listens to is not made. */
    bool (*listens)(void *userdata);
    void *userdata;
};

struct event_bus {
    struct list subscribers;
    uint64_t sequence;
};

void event_bus_init(struct event_bus *bus);
void event_bus_subscribe(struct event_bus *bus, struct event_subscriber *subscriber);
void event_bus_unsubscribe(struct event_subscriber *subscriber);
/* Is it worth making an event's fields at all? Publishing one that nobody listens to does nothing. */
bool event_bus_is_heard(const struct event_bus *bus);

void event_bus_pass(struct event_bus *bus, uint64_t follower, json_t *lines);
/* `answer` is borrowed. */
void event_bus_answer(struct event_bus *bus, uint64_t inquiry, json_t *answer);
/* Takes over `fields` (NULL when memory was short: then the event is lost and only its number is used). */
void event_bus_publish(struct event_bus *bus, enum event_type type, json_t *fields);
