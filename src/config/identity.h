/*
 * identity.h - as whom processes run, and within what limits. Part of config.h.
 */
#pragma once

#include "base/macros.h"

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

/* A user or group. */
struct config_id {
    bool set;
    id_t id;
};

/* A user with all that belongs to him; names as they are written, numbers as they were found. */
struct config_account {
    char *user_text, *group_text; /* NULL: unset */
    char **groups_text;           /* in addition to those that the user is in */
    struct config_id user, group; /* group: the user's own where it is unset */
    bool groups_set;              /* where any of the above is */
    gid_t *groups;                /* supplementary ones, all of them */
    size_t n_groups;
    char *name, *home, *shell; /* of a user that is known by name; else NULL */
};

struct config_umask {
    bool set;
    mode_t mask;
};

struct config_integer {
    bool set;
    int value;
};

struct config_limit {
    bool set;
    rlim_t soft, hard; /* RLIM_INFINITY: unlimited */
};

struct config_capabilities {
    bool set;
    uint64_t mask; /* bit CAP_… */
};

enum config_affinity_kind {
    CONFIG_AFFINITY_UNSET,
    CONFIG_AFFINITY_LIST,
    CONFIG_AFFINITY_PER_WORKER, /* each slot one of the CPUs that there are for us, in turn */
};

struct config_affinity {
    enum config_affinity_kind kind;
    cpu_set_t cpus; /* of a list */
};

/* Of a program. What is not set is as the master has it. */
struct config_identity {
    struct config_account account;
    struct config_umask umask;
    struct config_integer nice, oom_score_adjust;
    struct config_affinity affinity;
    struct config_capabilities capabilities;
    bool no_new_privileges;
    struct config_limit limits[RLIM_NLIMITS]; /* by RLIMIT_… */
};
