/*
 * reload.h - the transaction behind SIGHUP: read, validate, bind, bring up canaries, roll out, commit - or change nothing.
 *
 * An id is given out when a reload is asked for; those that are asked for before it begins are the same one. Every id gets
 * exactly one final result, as an event and in the history, whatever happens.
 */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "base/macros.h"
#include "config/config.h"
#include "config/diff.h"
#include "master/release.h"

#include "worker/oneshot.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct master;
struct generation;
struct program;

enum reload_state {
    RELOAD_NONE,
    RELOAD_CHECKING,
    RELOAD_CANARIES,
    RELOAD_ROLLING,
    RELOAD_ROLLING_BACK,
};
const char *reload_state_to_string(enum reload_state state);

enum reload_result {
    RELOAD_COMMITTED,
    RELOAD_ROLLED_BACK,
    RELOAD_SUPERSEDED,
    RELOAD_DEGRADED,
    RELOAD_REFUSED,
};
const char *reload_result_to_string(enum reload_result result);

#define RELOAD_STATES  (RELOAD_ROLLING_BACK + 1)
#define RELOAD_RESULTS (RELOAD_REFUSED + 1)

/* Who asked for it, as the kernel tells: the sender of a signal or the peer of a control connection; or a file that changed. */
struct reload_cause {
    int signal; /* 0: a client */
    pid_t pid;
    uid_t uid;
    bool over_http; /* the client is the gateway, which does so for somebody else */
    char *path; /* what changed, where a watch asked; else NULL */
};

/* What brings more comes first. */
enum reload_kind {
    RELOAD_READ,    /* what the configuration file says now */
    RELOAD_CURRENT, /* the configuration that is in force or on its way; the file is not read */
    RELOAD_RESTART, /* likewise, and nothing else is taken anew either: workers of the very same kind */
    RELOAD_SCALE, /* another number of workers for one program, and nothing else; only while no other reload is about */
    RELOAD_UNDO, /* what was committed before the last one that committed, down to directory and environment */
};

/* What is asked for. */
struct reload_wish {
    enum reload_kind kind;
    bool changed_only;     /* programs whose workers would be made of something else */
    char *const *programs; /* these as well; NULL without changed_only: all. Borrowed */
    unsigned workers;      /* RELOAD_SCALE: of the one program */
};

/*
 * One that is wanted, that runs or that ended. It has one owner at a time, and in the end the record of its result; what it
 * points to moves along.
 */
struct reload_request {
    uint64_t id; /* 0: none */
    enum reload_kind kind;
    bool all, changed_only; /* which programs are asked for: all, those that changed, */
    char **programs;        /* and these */
    unsigned workers;       /* RELOAD_SCALE */
    struct reload_cause cause;
    unsigned also;       /* how many more asked for it before it began */
    uint64_t began_usec; /* monotonic; while it is wanted: since when */
    uint64_t phase_usec[RELOAD_STATES]; /* how long it was in each state; NONE is reading and binding */
};

/* How one reload ended. */
struct reload_record {
    struct reload_request request;
    enum reload_result result;
    char *reason; /* NULL where it committed and nobody stays FATAL */
    uint64_t began_realtime_usec, duration_usec;
    json_t *programs; /* array of {name, result, generation, workers, reason} */
};

#define RELOAD_HISTORY_MAX 100

/* How many ended so, ever, and how long they took together: the history forgets, these do not. */
struct reload_count {
    uint64_t count, duration_usec;
};

/* What a program does in a reload. */
struct reload_part {
    char *program; /* its name now; of one that is added: its new one */
    struct generation *generation;
    struct program *added; /* not there yet; NULL once it was taken, and for others */
    bool is_named;  /* the configuration of the reload has it; else it goes back to what was committed, and then goes */
    bool is_checked; /* check_command is to be run */
    bool is_adopted; /* nobody is replaced: the workers that it has are handed what is new */
};

/* What a reload will make true, if its checks pass. Until then nothing that serves was touched. */
struct reload_candidate {
    struct reload_request request; /* id 0: there is none */
    struct release release;
    struct config *from;      /* in force when it was made */
    struct config_diff *diff; /* against that one */
    struct reload_part *parts;
    size_t n_parts;
    bool is_entangled; /* with a reload that ran when it was made */
};

struct reload {
    enum reload_state state; /* of the one that runs: never CHECKING */
    uint64_t state_usec;           /* monotonic: since when */
    uint64_t last_id;              /* the newest that was given out; 0: none */
    struct reload_request wanted;  /* asked for and not begun */
    struct reload_request running;
    struct reload_candidate candidate; /* may be there while an older one still runs */
    struct list checks;                /* its own, and stopped ones whose processes have yet to go */
    struct release release;            /* of the one that runs */
    char *reason; /* of the failure */
    struct reload_record history[RELOAD_HISTORY_MAX];
    size_t n_history; /* ever written; the newest is at (n_history - 1) % RELOAD_HISTORY_MAX */
    struct reload_count counts[RELOAD_RESULTS];
};

void reload_init(struct reload *reload);
void reload_clear(struct reload *reload);

/* An id for what is asked for now; 0: no memory. The caller moves the intent. */
uint64_t reload_want(struct master *master, const struct reload_wish *wish,
                     const struct reload_cause *cause);
/* Reads what the one that is wanted asks for: refuses it, or makes it the candidate. */
void reload_begin(struct master *master);
/* Looks where the checks and programs have got to and takes the next step. True: something was done, so converge again. */
bool reload_step(struct master *master);
/* The master leaves: what runs or is wanted ends as superseded. */
void reload_abandon(struct master *master);

/* It was asked for, and has not ended. */
bool reload_is_pending(const struct reload *reload, uint64_t id);
/* Borrowed; NULL when the id is unknown, not ended, or forgotten. */
const struct reload_record *reload_find(const struct reload *reload, uint64_t id);
const struct reload_record *reload_newest(const struct reload *reload);
/* {id, result, reason, cause, also, began_usec, duration_usec, phases, programs}; a new reference or NULL. */
json_t *reload_record_to_json(const struct reload_record *record);
/* "SIGHUP of pid 4711, uid 0". Returns buffer. */
#define RELOAD_CAUSE_TEXT_SIZE 256
const char *reload_cause_to_text(const struct reload_cause *cause,
                                 char buffer[RELOAD_CAUSE_TEXT_SIZE]);
/* All that is remembered, the oldest first. Likewise. */
json_t *reload_history_to_json(const struct reload *reload);
/* [{result, count, duration_usec}], of each result. Likewise. */
json_t *reload_counts_to_json(const struct reload *reload);

/* Is any check_command still there? The master does not leave before. */
bool reload_has_checks(const struct reload *reload);

/*
 * What a reload would do now: {result: "would_commit" or "refused", reason, plan}. Nothing is bound and no check_command is run. A new
 * reference or NULL.
 */
json_t *reload_plan(struct master *master, const struct reload_wish *wish);

/* What the files of the reload need of each other. */

void reload_request_clear(struct reload_request *request);
/*
 * May a program that was FATAL before stay so, and the others commit? `change` is its own, NULL where the configuration does not have it
 * any more; not if that gives it something else, nor if it was asked for by its name: as one of several only where it is the operator who
 * named them, and not a watch, or a restart, which names all that there are. Pure.
 */
bool reload_may_leave_fatal(const struct reload_request *request,
                            const struct config_program_change *change);
/* Adds what is wished for to a request of the same kind. 0 or -ENOMEM. */
int reload_request_widen(struct reload_request *request, const struct reload_wish *wish);
/* Finds out who takes part, and makes what they need. With `dry` listeners may lack sockets. 0 or -errno with *ret_reason. */
int reload_make_parts(struct master *master, struct reload_candidate *candidate, char **ret_reason);
/*
 * {sockets: [{name, action: "keep" "change" "bind" "close", address, was, changes[]}], programs: [{name, action: "keep" "roll" "hand" "start" "add" "stop",
 * was, workers, changes[]}], settings: []}. A new reference or NULL.
 */
json_t *reload_plan_to_json(const struct reload_candidate *candidate);
/* reload-checks.c: of the candidate. 0 or -errno with *ret_reason (malloc-ed). */
int reload_start_checks(struct master *master, char **ret_reason);
void reload_stop_checks(struct reload *reload);
void reload_free_gone_checks(struct reload *reload);
/* What the checks say so far; *ret_reason where they failed. */
enum oneshot_verdict reload_judge_checks(const struct reload *reload, char **ret_reason);

/* For log lines about a reload; `program` NULL: about all of it. */
struct log_subject reload_subject(uint64_t id, const struct program *program);
/* Takes the candidate: supersedes one that runs and sets the programs going. */
void reload_take(struct master *master, struct reload_candidate *candidate);
/* True: the candidate was taken or refused. */
bool reload_candidate_step(struct master *master);
/* The one that ran has ended: is what the candidate was made from still so? Else it is made anew. */
void reload_candidate_reconsider(struct master *master, enum reload_result result);
void reload_candidate_clear(struct reload_candidate *candidate);
void reload_drop_candidate(struct master *master, const char *by);

/* "api is FATAL as before: ..." of the reload that is committed (malloc-ed); NULL: nobody is. */
char *reload_fatal_text(const struct master *master);

/* The only place where a reload ends: its record, which takes over the request and `reason`, is kept and published. */
void reload_end(struct master *master, struct reload_request *request,
                enum reload_result result, char *reason);
