/*
 * program.h - one program's slots, and the shell around rollout_next().
 *
 * Events (a worker became ready, died, a timer ran out) only mark the program dirty by the op `changed`; program_converge(),
 * called by the master's one deferred step, performs what rollout_next() says, and it alone frees workers.
 *
 * A reload is driven from above, because it spans programs:
 *   program_begin() -> canaries_proven -> program_release() -> done -> program_commit()
 *                   \ failed, at any time before the commit -> program_roll_back() -> rolled_back (or degraded)
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "program/restart-policy.h"
#include "program/rollout.h"
#include "worker/output-counters.h"
#include "worker/worker.h"

#include <stdbool.h>

enum slot_state {
    SLOT_STOPPED,
    SLOT_STARTING,
    SLOT_READY,
    SLOT_DRAINING,
    SLOT_STOPPING,
    SLOT_BACKOFF,
    SLOT_EXITED, /* it has done its work */
    SLOT_FATAL,  /* it was given up */
};
const char *slot_state_to_string(enum slot_state state);

struct program;

struct slot {
    struct program *program;
    unsigned number;
    struct worker *current, *successor;
    struct list leaving; /* workers that were told or that died; freed when GONE */
    struct restart_history history;
    uint64_t history_generation; /* whose failures these are */
    uint64_t backoff_until_usec; /* monotonic; 0: none */
    sd_event_source *backoff_timer;
    bool held;                /* its operator wants nobody in it */
    char *start_failure; /* why the last start outside of a reload failed; for people */
    char *last_end;      /* how its last worker ended that nobody had asked to, as a verb; for people */
    char *fatal_why;     /* of one that was given up */
    int fatal_status;    /* of its last worker; see program_ops.fatal */
    bool fatal_untold;
    uint64_t over_generation; /* whose worker in it is not started again; 0: none */
    bool fatal;               /* because it was given up */
    bool was_fatal;   /* it was FATAL before the reload that runs, and is told that it may be so behind it */
    bool stays_fatal; /* and did not come up: nobody is started in it. Until the next reload begins, or this one is back */
    unsigned restarts; /* workers that left by themselves and were replaced */
    unsigned shortages; /* starts of the reload's way back for which there were no descriptors, processes or memory */
    uint64_t settling_usec; /* monotonic: since when clients are steered away from its own socket; 0: they are not */
    uint64_t looked_usec;
    unsigned empty_looks; /* at the queue of its own socket, in a row */
    /* See heal.h. */
    uint64_t heal_tried_usec; /* monotonic: when its unhealthy worker was last to be replaced */
    bool heal_came;           /* there was a successor for it */
    bool heal_failed;         /* that did not get well */
    bool on_trial; /* who is there instead of an unhealthy one has yet to prove itself */
    uint64_t aged_id;     /* the worker whose share of recycle.jitter this is: */
    double age_random;
};

/* Why the reload's generation did not come up in a slot, which may be gone by now. For people. */
struct slot_failure {
    unsigned slot;
    char *reason;
};

struct program_ops {
    /* Something happened: call program_converge() from the deferred step. */
    void (*changed)(struct program *program, void *userdata);
    /* For events and logs; `worker` is borrowed, `from` its former state. */
    void (*worker_changed)(struct program *program, struct worker *worker, enum worker_state from,
                           const char *reason, void *userdata);
    /* A worker became unhealthy, or is not any more. May be NULL. */
    void (*worker_health)(struct program *program, struct worker *worker, void *userdata);
    void (*worker_message)(struct program *program, struct worker *worker, json_t *value,
                           void *userdata);
    /* A slot was given up; `status` is what its last worker exited with, -1 where none ran; `why` is for people. May be NULL. */
    void (*fatal)(struct slot *slot, int status, const char *why, void *userdata);
    /*
     * Clients that wait at sockets which only this slot's workers have; false: it has none. From
     * program_converge(). May be NULL.
     */
    bool (*slot_queue)(struct program *program, unsigned slot, unsigned *ret_waiting,
                       void *userdata);
};

struct program_params {
    sd_event *event;
    struct reaper *reaper;
    struct generation *generation; /* the first; a reference is taken */
    const char *notify_directory; /* borrowed for the program's life; NULL: there is none */
    const struct rlimit *nofile;  /* borrowed likewise */
    const struct output_sink *output; /* likewise */
    const struct probe_sink *probes;  /* likewise */
    uint64_t *next_worker_id;     /* the master's counter */
    /*
     * How many more may be started before others of the event loop get their turn; whoever finds it 0 marks itself again. The master's,
     * who fills it up. NULL: as many as are wanted.
     */
    unsigned *starts_left;
    const struct program_ops *ops;
    void *userdata;
};

struct program {
    struct program_params params;
    char *name;
    struct generation *committed;
    struct generation *target; /* of the reload that runs; else NULL */
    struct generation *adopted; /* likewise, where nobody needs to be replaced for it; else NULL */
    uint64_t last_generation;  /* numbers are never used twice */
    enum rollout_phase phase;
    struct slot **slots;
    size_t n_slots;
    bool started;  /* workers are wanted at all: autostart, until program_stop() */
    bool stopping; /* program_stop() or program_remove() was called */
    bool halted;   /* by its operator, until program_resume() */
    bool resumes;  /* when the reload that runs is over */
    struct output_totals output; /* of workers' pipes that came to their end; kept by the owner */
    struct restart_window *restarts; /* of max_restarts; NULL before the first */
    bool removed;  /* for good: no configuration names it any more */
    bool ends_at_once; /* its drains are not spread (any more) */
    uint64_t drain_began_usec; /* monotonic: when this rollout told its first worker; 0: none yet */
    double spread_offset;      /* of this rollout: see spread.h */
    char *start_failure; /* of its slots, the first one ever */
    bool forced;   /* with force */

    /* While a reload runs: */
    bool takes_part;
    bool in_result; /* and its end will tell of it */
    bool is_new;   /* it is there because of this reload alone */
    bool is_unnamed; /* the configuration of this reload does not have it any more */
    bool waiting; /* without a canary: nothing is touched before the others' canaries are proven */
    bool canary_proven; /* and waiting for program_release() */
    bool done;          /* all is as wished; program_commit() may be called */
    bool rolled_back;   /* the return is over; `degraded` says how */
    bool degraded;
    bool failed;      /* in this phase: for rollout_next() */
    unsigned crashes; /* of the target's ready workers in this reload */
    char *failure;    /* the first reason, for people; kept until the next reload begins */
    char *fatal_failure; /* likewise, in a slot that stays FATAL: that does not count */
    struct slot_failure *slot_failures; /* the first one of each slot; kept likewise */
    size_t n_slot_failures;
    sd_event_source *probation_timer;
    sd_event_source *recycle_timer;
    sd_event_source *heal_timer; /* NULL before its workers' health was first looked at */
    uint64_t heal_retry_usec;    /* monotonic: before it none is replaced for that; 0: at once */
    unsigned heal_tries;         /* that failed, in a row */
    uint64_t recycle_usec; /* monotonic: when it goes off; 0: it is not armed */
    sd_event_source *settle_timer; /* looks again at surplus slots that are busy */
    const char *told_step; /* the reload's mark: what its last event said; static text */
    bool dirty;            /* the master's mark: something changed since it last converged */
};

/* With the generation of a program that is not there yet (generation_new_absent()), program_start() starts no worker. */
int program_new(const struct program_params *params, struct program **ret);
/* All workers must be gone; any that are not are killed. */
struct program *program_free(struct program *program);
DEFINE_FREEP(struct program *, program_free)

static inline const struct config_program *program_config(const struct program *program)
{
    return program->committed->program;
}

static inline struct log_subject program_subject(const struct program *program)
{
    return (struct log_subject){.program = program->name};
}

/* Workers are wanted from now on (until program_stop()). */
void program_start(struct program *program);
/*
 * No workers are wanted any more, as nobody will serve their clients: all are drained, without disconnect_spread, or stopped at
 * once with `force`. Also of one that was removed.
 */
void program_stop(struct program *program, bool force);
/* A reload has no place for it any more: all are drained, as in a rollout, for good. It is freed when it is empty. */
void program_remove(struct program *program);
/* Will it have workers of the target, or of what it goes back to? Programs that take no part, or are not started, have no say. */
static inline bool program_is_rolling(const struct program *program)
{
    return program->takes_part && program->started;
}
/*
 * An operator's wishes: no workers at all until program_resume(), or none in one slot (held) until slot_release(). These start what was given up or has
 * done its work, too. A reload brings the new generation to others only. With `force` nobody drains.
 */
void program_halt(struct program *program, bool force);
void program_resume(struct program *program);
/* Of a program that was halted: this slot alone. */
void program_resume_slot(struct program *program, unsigned slot);
void slot_hold(struct slot *slot, bool force);
void slot_release(struct slot *slot);
/* What happened in it before does not count any more. */
void slot_begin_anew(struct slot *slot);
/*
 * Its current worker is to be replaced by one of the same kind, when no reload runs: see Worn in rollout.h. `reason` is static text for
 * people. slot_spare(): not any more, if that has not happened.
 */
void slot_wear(struct slot *slot, const char *reason);
void slot_spare(struct slot *slot);

/* Is nobody to be started in the slot, in the generation that fills it now? */
bool slot_is_over(const struct slot *slot);
/* Has it no process any more, but for those that do not even die of SIGKILL? */
bool slot_is_vacant(const struct slot *slot);
bool program_is_empty(const struct program *program);
unsigned program_count_ready(const struct program *program);
/* How many workers should run now; and without those that are over, and not because they were given up. */
unsigned program_wanted(const struct program *program);
unsigned program_expected(const struct program *program);

/*
 * The reload: see above. program_begin() supersedes one that runs; a reference to `target` is taken. 0 or -ENOMEM, then nothing changed.
 * One that is not started has nothing to do: its target just waits for program_commit() or program_forget_target().
 */
int program_begin(struct program *program, struct generation *target);
/*
 * Behind program_begin(): slots that were FATAL before are tried again, but it is no failure of the reload if they stay so. For one whose
 * configuration is the same as before.
 */
void program_expect_fatal(struct program *program);
/* Do all of its slots stay FATAL? And which do, for people (malloc-ed): "FATAL as before: web/0 exited ..."; NULL: none. */
bool program_stays_fatal(const struct program *program);
char *program_fatal_text(const struct program *program);
void program_release(struct program *program);
void program_commit(struct program *program);
void program_roll_back(struct program *program);
void program_forget_target(struct program *program);
/* As a reload begins: what failed in slots was of an earlier one. */
void program_forget_slot_failures(struct program *program);
/*
 * Instead of program_begin(): at program_commit() its workers become of that generation, which has further sockets or another number of
 * workers, and is else the same. A reference is taken.
 */
void program_begin_adoption(struct program *program, struct generation *generation);
/* Have all of its workers a part in that: are they ready, and did they say hello? */
bool program_can_adopt(const struct program *program);

/* Brings what is towards what is wished, as far as that goes now. */
void program_converge(struct program *program);

/* What is to be said of unhealthy workers, for people (malloc-ed); NULL: there are none. */
char *program_health_text(const struct program *program);

enum slot_state slot_get_state(const struct slot *slot);
/* Why nobody is in a slot that is in BACKOFF, FATAL or EXITED; for people (malloc-ed). NULL: there is nothing to say. */
char *slot_reason(const struct slot *slot);
