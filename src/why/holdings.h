/*
 * holdings.h - which sockets the processes of workers hold, by inode.
 *
 * Nobody is taken for another: what is read of a process is read through its directory in /proc, which means that very process.
 */
#pragma once

#include "process/members.h"

struct holding {
    uint32_t inode;
    uint32_t member; /* its place in the members */
};

struct holdings {
    struct holding *all; /* by inode, then by member; each once */
    size_t n, allocated;
    int *failures; /* of each member: 0, or why its descriptors could not be read, -errno */
};

#define HOLDINGS_MAX ((size_t)1 << 22)

/* 0, -ENOMEM, or -EFBIG if they are more than HOLDINGS_MAX. */
int holdings_read(const struct members *members, struct holdings *ret);
void holdings_clear(struct holdings *holdings);

/* The first one of that inode, *ret_n of them; NULL: nobody holds it. */
const struct holding *holdings_find(const struct holdings *holdings, uint32_t inode, size_t *ret_n);

/*
 * Who holds the other ends of Unix sockets, among all processes that we may look at: fills in the pid of the first one found for each.
 * Gives up after a second.
 */
struct other_end {
    uint32_t inode;
    pid_t pid; /* 0: not found */
};
void holdings_find_others(struct other_end *ends, size_t n);
