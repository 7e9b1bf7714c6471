/* step.h - what a start consists of, and so where it can fail. */
#pragma once

enum spawn_step {
    SPAWN_STEP_CLONE,
    SPAWN_STEP_GROUP, /* of processes */
    SPAWN_STEP_FDS,
    SPAWN_STEP_NICE,
    SPAWN_STEP_OOM_SCORE,
    SPAWN_STEP_AFFINITY,
    SPAWN_STEP_LIMITS, /* `detail`: which, RLIMIT_… */
    SPAWN_STEP_SET_GROUPS,
    SPAWN_STEP_SET_GROUP,
    SPAWN_STEP_SET_USER,
    SPAWN_STEP_CAPABILITIES, /* `detail`: which, CAP_…; -1: all */
    SPAWN_STEP_DIRECTORY,
    SPAWN_STEP_NO_NEW_PRIVILEGES,
    SPAWN_STEP_EXEC,
};

struct spawn_failure {
    enum spawn_step step;
    int error; /* positive errno */
    int detail;
};
