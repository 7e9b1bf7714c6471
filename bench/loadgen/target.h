/* target.h - where the load goes to, and from which addresses it comes. */
#pragma once

#include "base/address.h"

struct target {
    struct address address;
    unsigned sources,
        next_source; /* loopback addresses used in turn as source; 0: the kernel chooses */
};

/* 0 or -EINVAL with *ret_reason as address_parse() has it. */
int target_parse(const char *text, unsigned sources, struct target *ret, const char **ret_reason);

/* A socket of the target's family and that type, non-blocking, bound to the next source. *ret_fd or -errno. */
int target_open(struct target *target, int type, int *ret_fd);

/* 1 connected, 0 under way (wait for writability, then target_connected()), or -errno; -EAGAIN: see below. */
int target_connect(const struct target *target, int fd);
/*
 * A Unix listener whose queue is full answers EAGAIN where a blocking connect() would wait. That is no refusal: the
 * caller tries target_connect() again with the same fd.
 */

/* How the connection attempt on fd ended: 0 or -errno. */
int target_connected(int fd);
