/*
 * identity.h - as whom a process runs, and within what limits.
 *
 * Taken on by a process that is about to exec: what needs privileges comes before the user changes, what a change of user would undo comes after.
 * Files and directories are looked at as the new user from then on.
 */
#pragma once

#include "base/macros.h"
#include "process/step.h"

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

/* All borrowed. What is not set stays as the master has it. */
struct process_identity {
    const char *user, *group; /* for messages; NULL: their numbers are said */
    bool set_user, set_group, set_groups;
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* supplementary */
    size_t n_groups;
    bool set_umask;
    mode_t umask;
    bool set_nice;
    int nice; /* not added to the master's */
    bool set_oom_score_adjust;
    int oom_score_adjust;
    const cpu_set_t *cpus; /* NULL: not set */
    unsigned limits_set;   /* bit RLIMIT_… of each that is */
    struct rlimit limits[RLIM_NLIMITS];
    /* The ambient ones, and no others: without them, a user that is set gets none. */
    bool set_capabilities;
    uint64_t capabilities;
    bool no_new_privileges;
};

/* Does it become somebody else? */
static inline bool identity_changes_user(const struct process_identity *identity)
{
    return identity && (identity->set_user || identity->set_group || identity->set_groups);
}

/* async-signal-safe: for the child of spawn(). False with *ret_failure. */
bool identity_take(const struct process_identity *identity, struct spawn_failure *ret_failure);
/* The last step, after which exec gives no more than there is. */
bool identity_seal(const struct process_identity *identity, struct spawn_failure *ret_failure);

/* "cannot become user 'www-data' (33): Operation not permitted (…)". malloc-ed or NULL. */
char *identity_failure_to_text(const struct spawn_failure *failure,
                               const struct process_identity *identity);

/* Has this process the capability now, CAP_…? */
bool process_has_capability(unsigned capability);
/* Have all user ids of this process this value? */
bool process_is_user(uid_t uid);

/*
 * For good, of this process itself: user, group and supplementary groups of `identity`, keeping the one capability `kept` if it has it. 0 or -errno
 * with *ret_failure.
 */
int identity_become(const struct process_identity *identity, unsigned kept,
                    struct spawn_failure *ret_failure);
