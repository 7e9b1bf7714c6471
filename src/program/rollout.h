/*
 * rollout.h - what to do next with the workers of one program. A pure function: values in, actions out.
 *
 * The shell (program.c) keeps the slots, performs actions and calls rollout_next() again after every event until
 * it returns none. Start, crash, reload, rollback, scaling and stop are all the same thing here: what is is brought
 * towards what is wished, within max_unavailable and max_surge.
 *
 * A slot has two places for workers that nobody has told to leave: `current`, and `successor` (a replacement that comes up
 * beside it). A worker that was told, or that died, is in no place any more; it only counts in `leaving` while its leader lives.
 *
 * Which generation a place should hold depends on the phase:
 *   IDLE          COMMITTED for empty places; a place that holds anything else keeps it
 *   CANARY        as IDLE, and one successor of the TARGET somewhere: nobody is drained
 *   ROLLING       TARGET
 *   ROLLING_BACK  COMMITTED
 * OTHER is a generation of a reload that was superseded before it was committed.
 *
 * The phase is the shell's: rollout_next() asks for a change by an action, the shell (which also knows of the other
 * programs of the reload) makes it. CANARY -> ROLLING is made by the shell when the canaries of all programs are proven.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum rollout_phase { ROLLOUT_IDLE, ROLLOUT_CANARY, ROLLOUT_ROLLING, ROLLOUT_ROLLING_BACK };

enum rollout_generation { ROLLOUT_COMMITTED, ROLLOUT_TARGET, ROLLOUT_OTHER };

enum rollout_presence {
    ROLLOUT_NONE,
    ROLLOUT_STARTING, /* a process that is not ready yet */
    ROLLOUT_READY,
};

struct rollout_place {
    enum rollout_presence presence;
    enum rollout_generation generation; /* means nothing when presence is NONE */
};

struct rollout_slot {
    struct rollout_place current, successor;
    unsigned leaving; /* told workers of this slot whose leader still lives */
    bool backoff;     /* a crash here was so recent that the same generation must not be started yet */
};

enum rollout_order { ROLLOUT_DRAIN_FIRST, ROLLOUT_READY_FIRST };

struct rollout_view {
    enum rollout_phase phase;
    enum rollout_order order;
    bool canary;              /* of the TARGET's options */
    unsigned workers;         /* slots wished for in this phase: COMMITTED's in IDLE, CANARY and ROLLING_BACK, TARGET's in ROLLING; 0: stop */
    unsigned target_workers;  /* TARGET's, in CANARY (where its canary may take any of these slots); else = workers */
    unsigned max_workers;     /* the larger of both generations' workers while a reload runs; else = workers */
    unsigned max_unavailable, max_surge;
    bool failed;              /* since the phase began, a start of the generation that the phase wants has failed for good */
    size_t n_slots;           /* every slot that holds anything, and at least max_workers */
    const struct rollout_slot *slots;
};

enum rollout_action_type {
    ROLLOUT_START_CURRENT,   /* fork `generation` into the empty current place of `slot` */
    ROLLOUT_START_SUCCESSOR, /* fork `generation` into the empty successor place of `slot`; in CANARY it is the canary */
    ROLLOUT_DRAIN_CURRENT,   /* tell a ready one */
    ROLLOUT_DRAIN_SUCCESSOR,
    ROLLOUT_STOP_CURRENT,    /* stop one that is not ready yet: it has no connections to finish */
    ROLLOUT_STOP_SUCCESSOR,
    ROLLOUT_PROMOTE,         /* the successor moves into the empty current place */
    ROLLOUT_FAIL,            /* CANARY, ROLLING: go to ROLLING_BACK. Emitted alone */
    ROLLOUT_COMMIT,          /* ROLLING: all is as wished. Emitted alone */
    ROLLOUT_ROLLED_BACK,     /* ROLLING_BACK: all is as it was. Emitted alone */
    ROLLOUT_DEGRADED,        /* ROLLING_BACK: the old generation does not start any more. Emitted alone */
};

struct rollout_action {
    enum rollout_action_type type;
    unsigned slot;
    enum rollout_generation generation; /* of the two START actions */
};

#define ROLLOUT_ACTIONS_MAX 64

/*
 * Writes up to ROLLOUT_ACTIONS_MAX actions and returns how many; they are valid together, in this order, for the view given.
 * When it fills the array there may be more: perform, build a new view, call again.
 */
size_t rollout_next(const struct rollout_view *view, struct rollout_action actions[ROLLOUT_ACTIONS_MAX]);
