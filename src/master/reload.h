/*
 * reload.h - the transaction behind SIGHUP: read, validate, bind, bring up canaries, roll out, commit - or change nothing.
 *
 * An id is given out when a reload is asked for; those that are asked for before it begins are the same one. Every id gets
 * exactly one final result, as an event and in the history, whatever happens.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"

#include <jansson.h>
#include <stdbool.h>

struct master;
struct generation;

enum reload_state { RELOAD_NONE, RELOAD_CANARIES, RELOAD_ROLLING, RELOAD_ROLLING_BACK };
const char *reload_state_to_string(enum reload_state state);

enum reload_result {
    RELOAD_COMMITTED,
    RELOAD_ROLLED_BACK,
    RELOAD_SUPERSEDED,
    RELOAD_DEGRADED,
    RELOAD_REFUSED,
};
const char *reload_result_to_string(enum reload_result result);

/* How one reload ended. */
struct reload_record {
    uint64_t id;
    enum reload_result result;
    char *reason; /* NULL where it committed */
    uint64_t duration_usec;
    json_t *programs; /* array of {name, result, generation, workers, reason} */
};

#define RELOAD_HISTORY_MAX 64

struct reload {
    enum reload_state state;
    uint64_t last_id;   /* the newest that was given out; 0: none */
    uint64_t wanted_id; /* asked for and not begun; 0: none */
    uint64_t id;        /* the one that runs; 0: none */
    struct config *config;
    uint64_t began_usec;
    char *reason; /* of the failure */
    struct reload_record history[RELOAD_HISTORY_MAX];
    size_t n_history; /* ever written; the newest is at (n_history - 1) % RELOAD_HISTORY_MAX */
};

void reload_clear(struct reload *reload);

/* An id for what is asked for now. The caller moves the intent. */
uint64_t reload_want(struct master *master);
/* Begins the one that is wanted: refuses it, or sets the programs going (superseding one that runs). */
void reload_begin(struct master *master);
/* Looks where the programs have got to and takes the next step. True: something was done, so converge again. */
bool reload_step(struct master *master);
/* The master leaves: what runs or is wanted ends as superseded. */
void reload_abandon(struct master *master);

/* Borrowed; NULL when the id is unknown, not ended, or forgotten. */
const struct reload_record *reload_find(const struct reload *reload, uint64_t id);
const struct reload_record *reload_newest(const struct reload *reload);
/* {id, result, reason, duration_usec, programs}; a new reference or NULL. */
json_t *reload_record_to_json(const struct reload_record *record);

/* The only place where a reload ends: its record is kept and published. `reason` is taken over. For reload.c. */
void reload_end(struct master *master, uint64_t id, enum reload_result result, char *reason,
                uint64_t began_usec);
