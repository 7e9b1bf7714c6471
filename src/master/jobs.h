/*
 * jobs.h - start, stop and restart of programs, groups and slots, from the request to the answer.
 *
 * A job has targets. They are begun in the order of their priorities - ascending, to stop descending -, the next ones when all
 * before them are as wished or failed; a restart begins all at once, of whole programs as a reload. What comes later wins: a start ends as
 * failed when somebody stops it meanwhile. Start in the order of priorities is a job of the master's own.
 *
 * A job ends by itself as soon as all of its targets have a result; each worker's time-outs see to that. Nobody needs to wait for it.
 */
#pragma once

#include "base/list.h"
#include "master/reload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct master;

enum job_verb { JOB_START, JOB_STOP, JOB_RESTART };
const char *job_verb_to_string(enum job_verb verb);

struct job_wish {
    enum job_verb verb;
    bool force;                       /* JOB_STOP: nobody drains */
    char *const *names;               /* see targets.h; borrowed */
    const struct reload_cause *cause; /* who asks: a client; likewise */
};

#define JOBS_MAX 128

struct jobs {
    struct list list;
    unsigned n;
    uint64_t last_id;
};

void jobs_init(struct jobs *jobs);
void jobs_clear(struct jobs *jobs);

/*
 * 0 and an id; the end is told by an event of type job. -ENOENT, -ESRCH: as targets_find(), with *ret_name; -EBUSY: JOBS_MAX; -ESHUTDOWN;
 * -ENOMEM.
 */
int job_new(struct master *master, const struct job_wish *wish, uint64_t *ret_id,
            const char **ret_name);
/* Starts what is to be started with the master. 0 or -ENOMEM. */
int jobs_boot(struct master *master);

/* Looks where programs have got to, and begins the next ones. True: some were begun, so converge. */
bool jobs_step(struct master *master);
/* A reload does not wait for the order of starts. */
void jobs_hurry(struct master *master);
/* Is a program still waiting for its turn to be started with the master? */
bool jobs_are_booting(const struct master *master);
/* Whose start a program that is to be started is put off for, by their order; NULL: it is not. Borrowed. */
const char *jobs_awaited_by(const struct master *master, const char *program);
/* The master leaves: all end as they are. */
void jobs_abandon(struct master *master);
