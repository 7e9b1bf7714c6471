/*
 * gather.h - the connections of workers: what their processes hold, and what the kernel tells of it.
 *
 * A connection is TCP, a Unix stream (or SOCK_SEQPACKET) with a name at one end, or a UDP socket that has a peer. Sockets that listen, and pairs
 * of sockets without any name, by which processes talk among themselves or with the master, are none.
 */
#pragma once

#include "net/diag.h"
#include "why/holdings.h"

#define CONNECTION_PIDS_MAX 4

struct connection {
    struct diag_socket socket;
    bool accepted;   /* somebody listens at its own address: the process did not make it itself */
    pid_t other_pid; /* who has the other end of a Unix socket; 0: not known */
    pid_t pids[CONNECTION_PIDS_MAX]; /* who holds it, of this worker */
    size_t n_pids;
};

struct gathered_worker {
    pid_t leader;
    size_t first_member, n_members;
    bool
        incomplete; /* there is a process at which we may not look, or all of them are hidden from us */
    size_t count; /* of its connections, as far as they are known */
    struct connection
        *listed; /* of these the least idle ones, in this order; what has no times is last */
    size_t n_listed, allocated;
};

struct gathered {
    struct members members;
    struct holdings holdings;
    struct gathered_worker *workers; /* as asked for */
    size_t n_workers;
    size_t list_max; /* of each worker's connections, so that all together are few */
    int failure;     /* 0, or why there are no connections to tell of, -errno */
};

struct asked {
    const pid_t *leaders; /* of n workers, at least one */
    size_t n;
    const struct member_root *roots; /* these, and processes that they have lost sight of */
    size_t n_roots;
};

/* 0, or -errno where there is nothing to tell. Cleared by the caller in any case. */
int gather(const struct asked *asked, struct gathered *ret);
void gathered_clear(struct gathered *gathered);

/* How long it has been idle; UINT64_MAX where that is not known. */
uint64_t connection_idle_usec(const struct connection *connection);
/*
 * How old it is at least, which the kernel knows by what it did last; *ret_exact: it is just that, as it was never used in one of its two
 * directions. UINT64_MAX where that is not known.
 */
uint64_t connection_age_usec(const struct connection *connection, bool *ret_exact);
