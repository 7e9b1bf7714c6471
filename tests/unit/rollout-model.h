/*
 * rollout-model.h - a small model of the shell around rollout_next(), for exploring it.
 *
 * It performs what is asked for and lets happen whatever may happen: workers become ready, fail to start, crash, drain by
 * themselves, leave; backoffs end; the canary is proven; a reload arrives. Every action and every state is checked against
 * the invariants of a rollout. A broken one calls model_violated().
 */
#pragma once

#include "program/rollout.h"

#include <stdint.h>

#define SLOTS_MAX       4
#define GENERATIONS_MAX 3
#define LEAVING_MAX     6 /* told workers of one slot */

/* A generation as its configuration describes it. Number 0 runs when the exploration begins; each reload brings the next. */
struct recipe {
    enum rollout_order order;
    bool canary;
    unsigned max_unavailable, max_surge, workers;
};

struct scenario {
    struct recipe recipes[GENERATIONS_MAX];
    unsigned n_reloads, n_troubles;
    bool boot;  /* begins with empty slots */
    bool queues; /* surplus slots are busy until they settle */
    bool leaves; /* each slot but the first has a socket of its own that its successor will not have */
    bool wears; /* some are to be replaced; without queues and leaves */
    bool ends;   /* workers may have done their work, and operators may hold slots */
    bool pairs; /* two events may come before the shell looks */
};

struct world {
    const struct scenario *scenario;
    enum rollout_phase phase;
    unsigned committed, target; /* numbers of recipes; target is the newest one */
    unsigned troubles;          /* still to be spent */
    bool failed, stopping;
    unsigned scaled; /* wanted workers in IDLE instead of the committed recipe's; 0: as that */
    bool disturbed;  /* a ready worker went by itself: the first invariant holds no more */
    /* what the first invariant demands of all generations that have to do with this reload */
    unsigned lowest;
    unsigned highest; /* most workers of any of these generations */
    unsigned over; /* a bit for each slot: nobody of the phase's generation is wanted in it any more */
    unsigned held; /* likewise: the operator wants nobody in it */
    unsigned worn; /* likewise: who is current in it is to be replaced */
    unsigned settling; /* a bit for each slot: it was to settle before it is told */
    unsigned settled;  /* likewise: it is busy no more */
    struct rollout_slot slots[SLOTS_MAX];
};

enum event_type {
    EVENT_READY,
    EVENT_GONE,
    EVENT_BACKOFF_ENDS,
    EVENT_PROVEN,
    EVENT_SETTLES,
    EVENT_START_FAILS,
    EVENT_START_FAILS_FOR_GOOD,
    EVENT_CRASH,
    EVENT_CRASH_AND_BACKOFF,
    EVENT_WEARS,
    EVENT_ENDS,
    EVENT_HELD,
    EVENT_DRAINS_ITSELF,
    EVENT_RELOAD,
};

struct event {
    enum event_type type;
    unsigned slot;
    bool successor;
};

/* The world in which a scenario begins; converged. */
struct world model_begin(const struct scenario *scenario);

bool model_allows(const struct world *world, const struct event *event);
void model_happen(struct world *world, const struct event *event);
/* What the shell does after one or more events: it calls rollout_next() and performs until that returns none. */
void model_converge(struct world *world);

/* Events of the first kind come by themselves, the others out of a budget. */
bool model_is_forward(enum event_type type);

/* What must hold where nothing moves by itself any more. */
void model_check_goal(const struct world *world);
/* What must hold when the master stops, or the program is scaled, just now. */
void model_check_shutdown(const struct world *world);
void model_check_scaling(const struct world *world);

/* All that makes a difference, as a number other than 0. */
uint64_t model_pack(const struct world *world);

void model_print(const struct world *world);
void model_print_event(const struct event *event);
void model_print_scenario(const struct scenario *scenario);

/* The explorer's: tells how the world came there, and fails the test. */
void model_violated(const struct world *world, const char *why) __attribute__((noreturn));
