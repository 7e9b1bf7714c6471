/*
 * members.h - which processes belong to which leader: those of its process group, and whoever descends from one of these, in one pass over
 * /proc.
 *
 * A process that left the group and whose parents have ended belongs to nobody any more, unless it is named as well.
 */
#pragma once

#include "process/stat.h"

#include <stddef.h>

struct member {
    size_t leader; /* its place among those asked for */
    struct process_stat stat;
};

struct members {
    struct member *all; /* by leader, then by pid; dead ones are left out */
    size_t n;
};

/*
 * A process from which others descend: a leader, or one that its leader has lost sight of, and who is our parent's child now. The latter counts
 * only while it is that.
 */
struct member_root {
    pid_t pid;
    size_t leader;
    bool lost;
};

/* 0, -ENOMEM, or -errno if /proc cannot be read. The leaders' pids are to stay theirs meanwhile: unreaped. */
int members_read(const struct member_root *roots, size_t n_roots, struct members *ret);
void members_clear(struct members *members);
