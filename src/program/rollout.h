/*
 * rollout.h - what to do next with the workers of one program. A pure function: values in, actions out.
 *
 * The shell (program.c) keeps the slots, performs actions and calls rollout_next() again after every event until
 * it returns none. Start, crash, reload, rollback, scaling and stop are all the same thing here: what is is brought
 * towards what is wished, within max_unavailable and max_surge.
 *
 * A slot has two places for workers that nobody has told to leave: `current`, and `successor` (a replacement that comes up
 * beside it). A worker that was told, or that died, is in no place any more; it only counts in `leaving` while its leader lives.
 * A slot is wanted when its number is below `workers`; the others are surplus.
 *
 * Which generation the current place of a wanted slot should hold depends on the phase:
 *   IDLE          COMMITTED for empty places and instead of worn ones; a place that holds anything else keeps it
 *   CANARY        as IDLE, and one successor of the TARGET somewhere: nobody who serves is drained
 *   ROLLING       TARGET
 *   ROLLING_BACK  COMMITTED
 * OTHER is a generation of a reload that was superseded before it was committed.
 *
 * The phase is the shell's: rollout_next() asks for a change by an action, the shell (which also knows of the other
 * programs of the reload) makes it. CANARY -> ROLLING is made by the shell when the canaries of all programs are proven.
 * A canary that is gone is simply started again, so the shell sets `failed` when one died, drained by itself or timed out.
 *
 * What holds at any time:
 *   Ready      Of the wanted slots' workers at least max(canary ? 1 : 0, workers - max_unavailable) stay ready: a ready
 *              one is drained only while that many others are. Slots that are not ready are filled first.
 *   Surge      Each slot owns one process; beside these there are at most max_surge successors. (Surplus slots still own theirs.)
 *   drain-first  A slot is filled only when its told worker is gone - unless fewer than the above are ready (somebody crashed
 *              meanwhile): then availability comes first. Where not even one worker can be spared (workers: 1 with a canary),
 *              a slot is replaced ready-first.
 *   Settling   An unsettled worker is no longer counted as ready from when it settles, as nobody new is served by it.
 *   Worn       In IDLE a worn worker is replaced by one of COMMITTED, one at a time: ready-first where max_surge allows a
 *              successor, whatever the order, else drain-first when all others are ready. In the other phases it waits.
 *   Over       A slot that is over is not filled, and the limits are those of a program without it. In one that is held nobody stays.
 *   Surplus    In a rollout they are told last, once all wanted slots are as wished. In IDLE (a scale-down) as long as
 *              `workers` others are ready, so that one may stand in for a wanted slot that is down. In CANARY not at all. One that is
 *              busy is not told; a rollout is not over before all are.
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
    bool worn; /* likewise; it is to be replaced, though there is nothing newer */
};

struct rollout_slot {
    struct rollout_place current, successor;
    unsigned leaving; /* told workers of this slot whose leader still lives */
    /*
     * the generation that the phase puts into `current` crashed here so recently that it must wait; a
     * timer ends it
     */
    bool backoff;
    /*
     * its current worker is still needed for clients that wait at a socket of this slot alone; ends by itself. So are surplus slots from
     * when they are surplus, and others once they were to settle
     */
    bool busy;
    /* what the phase puts into `current` has done its work, or was given up: the slot is as it is wished when it is empty */
    bool over;
    /*
     * nobody is to be in it, of whatever generation: its operator wants that, or it stays FATAL in this reload;
     * implies `over`
     */
    bool held;
    /* its current worker has a socket that no successor will have: before it is told it has to settle */
    bool unsettled;
};

enum rollout_order { ROLLOUT_DRAIN_FIRST, ROLLOUT_READY_FIRST };

struct rollout_view {
    enum rollout_phase phase;
    /* The four options are TARGET's while a reload runs (also back), else COMMITTED's. The configuration has made sure that
     * max_surge is at least 1 with a canary or ready-first, and max_unavailable at least 1 with drain-first. */
    enum rollout_order order;
    bool canary;
    unsigned max_unavailable, max_surge;
    /*
     * slots wanted: COMMITTED's in IDLE, CANARY and ROLLING_BACK, TARGET's in ROLLING; 0 (only in
     * IDLE): stop
     */
    unsigned workers;
    /* TARGET's; used in CANARY, whose canary may take any of these slots */
    unsigned target_workers;
    /*
     * Each slot has a socket of its own: the canary takes a slot that COMMITTED has as well, where clients
     * come already, and somebody stays for those who wait there if it fails
     */
    bool own_sockets;
    /*
     * since the phase began, a start of the generation that it brings (the canary's in CANARY) failed
     * for good
     */
    bool failed;
    /* So many that were told to stop have not ended that no successor is started; SIGKILL puts an end to it. */
    bool crowded;
    /* every slot that holds anything, and at least `workers` and, in CANARY, `target_workers` */
    size_t n_slots;
    const struct rollout_slot *slots;
};

enum rollout_action_type {
    ROLLOUT_START_CURRENT, /* fork `generation` into the empty current place of `slot` */
    ROLLOUT_START_SUCCESSOR, /* fork `generation` into the empty successor place of `slot`; in CANARY it is the canary */
    ROLLOUT_SETTLE_CURRENT, /* let no more clients come to the socket of an unsettled one: it becomes busy, and is settled then */
    ROLLOUT_DRAIN_CURRENT, /* tell a ready one */
    ROLLOUT_DRAIN_SUCCESSOR,
    ROLLOUT_STOP_CURRENT, /* stop one that is not ready yet: it has no connections to finish */
    ROLLOUT_STOP_SUCCESSOR,
    ROLLOUT_PROMOTE,     /* the successor moves into the empty current place */
    ROLLOUT_FAIL,        /* CANARY, ROLLING: go to ROLLING_BACK. Emitted alone */
    ROLLOUT_COMMIT,      /* ROLLING: all is as wished. Emitted alone */
    ROLLOUT_ROLLED_BACK, /* ROLLING_BACK: all is as it was. Emitted alone */
    ROLLOUT_DEGRADED, /* ROLLING_BACK: the old generation does not start any more. Emitted alone */
};

struct rollout_action {
    enum rollout_action_type type;
    unsigned slot;                      /* means nothing in the last four types */
    enum rollout_generation generation; /* of the two START actions */
};

#define ROLLOUT_ACTIONS_MAX 64

/*
 * Writes up to ROLLOUT_ACTIONS_MAX actions and returns how many; they are valid together, in this order, for the view given.
 * There may be more to do behind them: perform, build a new view, call again, until it returns 0. Then nothing is left but to wait
 * for what is on its way (a starting process, a leaving one, a backoff, a canary's probation), or all is as wished.
 */
size_t rollout_next(const struct rollout_view *view,
                    struct rollout_action actions[ROLLOUT_ACTIONS_MAX]);
