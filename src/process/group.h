/*
 * group.h - process groups, seen through one pass over /proc.
 *
 * A worker's leader stays an unreaped zombie until its group is empty, so its number cannot be given to anybody
 * else while we may still signal it. The kernel has no call that says "empty but for the zombie": this is it.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>

struct group_query {
    pid_t group;
    bool
        occupied; /* out: a process that is not dead is in it (zombies are, but for those whose other threads live on) */
};

/*
 * Fills in `occupied` of all queries, each of another group, in one pass. `stranger` (may be NULL) is called for each zombie child of ours that
 * leads none of the groups asked for (what a PID 1 inherits); it may reap it. 0, or -errno if /proc cannot be read (then nothing is filled in).
 */
int group_scan(struct group_query *queries, size_t n, void (*stranger)(pid_t pid, void *userdata),
               void *userdata);

/* Is pid a member of the group, or a descendant of its leader (up to 64 generations)? False also when it is gone or dead. */
bool group_has_member(pid_t leader, pid_t pid);
