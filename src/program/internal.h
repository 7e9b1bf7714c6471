/*
 * internal.h - what the files of this folder share: program.c (life and reload), events.c (what workers do), converge.c
 * (the shell around rollout_next()), slot.c.
 */
#pragma once

#include "program/program.h"

/* program.c */
void program_mark(struct program *program);
/* It takes no further part in the rollout that it is in; the target stays, for the commit. */
void program_leave_rollout(struct program *program);
/* What empty places are filled with in this phase. */
struct generation *program_wanted_generation(const struct program *program);
/* In CANARY, where all slots that may have one are held by now: the reload goes on without. */
void program_look_for_canary(struct program *program);
/* 0 or -ENOMEM; never fewer than there are. */
int program_grow_slots(struct program *program, size_t n);
/* Slots that may hold anything: the larger of both generations' workers while a reload runs. */
unsigned program_max_workers(const struct program *program);

/* converge.c */
/* Tells a worker of the slot to leave, as all are told. */
void program_drain(struct slot *slot, struct worker *worker);
bool program_has_own_sockets(const struct config_program *config);

/* fatal.c */
void program_forget_fatal(struct program *program);
/* Behind the commit. */
void program_commit_fatal(struct program *program);
void program_roll_back_fatal(struct program *program);
/* When it is over, well or not. */
void program_end_roll_back_fatal(struct program *program);
/* Is it no news if the reload's generation, or on the way back the old one, does not come up here? */
bool slot_may_stay_fatal(const struct slot *slot);
/* It did not: `reason`, why, is taken over. */
void slot_stay_fatal(struct slot *slot, char *reason);

/* events.c */
extern const struct worker_ops program_worker_ops; /* userdata: the slot */
int program_on_probation_over(sd_event_source *source, uint64_t now, void *userdata);
/* A start did not succeed: `reason` ("web/0 exited with 1 before it was ready") is taken over. */
void program_note_failed_start(struct slot *slot, struct generation *generation, char *reason);

/* slot.c */
int slot_new(struct program *program, unsigned number, struct slot **ret);
struct slot *slot_free(struct slot *slot);
DEFINE_FREEP(struct slot *, slot_free)
/* 0 to 1. */
double program_random(void);
bool slot_is_empty(const struct slot *slot);
/* Nobody is to be in it, of whatever generation. */
bool slot_is_closed(const struct slot *slot);
/* How a worker ended, or did not start. */
struct worker_end {
    bool start_failed;
    uint64_t ready_usec; /* how long it had been ready */
    int status;          /* of its exit; 128 and the signal that killed it; -1: it never ran, or still does */
};

/*
 * A worker left by itself or did not start: decides whether and when the slot may start the next one of its generation. Once its end is
 * told, slot_tell_fatal() tells what follows from it where the slot was given up.
 */
/* Nobody of this generation is started in it before that time is over. It counts for nothing. */
void slot_put_off(struct slot *slot, const struct generation *generation, uint64_t delay_usec);
void slot_plan_restart(struct slot *slot, const struct generation *generation,
                       const struct worker_end *end);
void slot_tell_fatal(struct slot *slot);
/* As "exited with 1 before it was ready"; taken over. */
void slot_note_end(struct slot *slot, char *how);
/* "; restarting in 400 ms", or "" where it will not be, or was already. Returns buffer. */
#define RESTART_TEXT_SIZE 80
const char *slot_restart_text(const struct slot *slot, const struct generation *generation,
                              char buffer[RESTART_TEXT_SIZE]);
