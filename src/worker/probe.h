/*
 * probe.h - a check that is made again and again, by HTTP or TCP, until it is dropped. Who makes it is the sink's business: the
 * master's reloader-probe.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "config/config.h"

enum probe_kind { PROBE_HTTP, PROBE_TCP };

struct probe {
    struct list link; /* the sink's */
    uint64_t number;  /* likewise */
    enum probe_kind kind;
    char *target; /* URL or address, expanded */
    uint64_t interval_usec, timeout_usec;
    bool counts; /* each failure in a row is told; else a change alone is */
    /* `text` is for people, and borrowed. The probe may be dropped in here. */
    void (*result)(struct probe *probe, bool good, const char *text);
    /* It could not be made: who makes it lacks descriptors or memory. Of who is checked nothing is known. The probe stays. May
     * be NULL. */
    void (*unmade)(struct probe *probe, const char *why);
    void *userdata;
};

struct probe_sink {
    /* Checks it from now on. It is borrowed until it is dropped. */
    void (*add)(struct probe *probe, void *userdata);
    void (*drop)(struct probe *probe, void *userdata);
    void *userdata;
};

/* Takes over `target`. NULL: no memory. */
struct probe *probe_new(enum probe_kind kind, char *target);
struct probe *probe_free(struct probe *probe);
