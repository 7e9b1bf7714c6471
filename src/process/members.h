/*
 * members.h - which processes belong to which leader: those of its process group, and whoever descends from one of these, in one pass over
 * /proc.
 *
 * A process that left the group and whose parents have ended belongs to nobody any more: nothing tells where it came from.
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

/* 0, -ENOMEM, or -errno if /proc cannot be read. The leaders' pids are to stay theirs meanwhile: unreaped. */
int members_read(const pid_t *leaders, size_t n_leaders, struct members *ret);
void members_clear(struct members *members);
