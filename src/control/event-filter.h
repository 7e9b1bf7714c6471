/*
 * event-filter.h - which events a subscriber wants, by a few facts of each that are found once. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* The bit of an event type in a set, 0 if there is no such type: only who asked for all gets those. */
unsigned event_filter_type(const char *name);
#define EVENT_FILTER_ALL (~0u)

/* What an event is about; strings are NULL where it says nothing of that, and borrowed. */
struct event_facts {
    unsigned type;
    const char *program;
    const char *worker;  /* its name */
    int slot;            /* -1: of none */
    const char *command; /* of an application's message: its `cmd` */
};
struct event_facts event_facts_of(unsigned type, json_t *event);

struct event_filter {
    unsigned types;
    char **programs; /* NULL: all; PROGRAM, PROGRAM:*, PROGRAM:SLOT or a worker's name; owned */
    char **commands; /* NULL: all; of messages alone, others pass; owned */
};
bool event_filter_passes(const struct event_filter *filter, const struct event_facts *facts);
void event_filter_clear(struct event_filter *filter);
