/* job.h - what the files of the jobs share: jobs.c (their life and order), job-verbs.c (what each verb does and waits for). */
#pragma once

#include "master/jobs.h"
#include "master/targets.h"

struct job_target {
    struct target target;
    unsigned priority; /* when it was asked for */
    bool begun;
    bool was_so;        /* when it was begun nothing was to be done */
    uint64_t reload_id; /* of a restart, where that is a reload; else 0 */
    uint64_t worker_id; /* likewise, of the worker that is to be replaced; 0: there was none */
    const char *result; /* "started" …; NULL: not yet */
    char *reason;       /* where it failed; for people */
};

struct job {
    struct list link;
    uint64_t id;
    enum job_verb verb;
    bool force;
    bool boot;                 /* the master's own */
    bool told;                 /* that it is there */
    struct reload_cause cause; /* a client */
    struct job_target *targets;
    size_t n_targets;
};

struct program;

/* Does what can be done at once. `program` is the target's. */
void job_begin_target(struct job *job, struct job_target *target, struct program *program);
/* Looks whether it is over: sets its result. */
void job_judge_target(struct master *master, struct job *job, struct job_target *target,
                      struct program *program);
/* Takes over `reason`. */
void job_end_target(struct job_target *target, const char *result, char *reason);
/* A restart of all whole programs that it names, as one reload. */
void job_begin_restart(struct master *master, struct job *job);
