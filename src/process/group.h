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
    pid_t member;     /* out, when occupied: one of these */
    size_t n_members; /* out: how many they are */
};

/*
 * Fills in all queries, each of another group, in one pass. `child` (may be NULL) is called for each child of ours that
 * leads none of the groups asked for, among them those left to us by others; one that is dead it may reap. 0, or -errno if /proc
 * cannot be read (then nothing is filled in).
 */
int group_scan(struct group_query *queries, size_t n,
               void (*child)(pid_t pid, bool dead, void *userdata), void *userdata);

/* Those of the group that are not dead, `max` of them at most. How many there are; 0 also where /proc cannot be read. */
size_t group_members(pid_t group, pid_t *members, size_t max);

/*
 * Is pid a member of the group, or a descendant of its leader (up to 64 generations)? False also when it is gone or dead. Where there are
 * no descriptors to read /proc with, the group alone counts, and who is dead still does.
 */
bool group_has_member(pid_t leader, pid_t pid);
