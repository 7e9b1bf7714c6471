/*
 * connections.h - which sockets are connections that a server accepted, as the kernel's sock_diag tells of all at once.
 *
 * A connection counts from accept() on until its server closes it: those that wait in the queue of a listener are its, not a
 * process's. It is told from one that a process made itself by its own address, at which somebody listens. TCP and Unix
 * streams (and SOCK_SEQPACKET), in the network namespace of the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTIONS_MAX (1u << 20)

struct connections {
    uint32_t *inodes; /* as in /proc/PID/fd; ascending */
    size_t n;
};

/* 0 or -errno: -EFBIG if there are more than CONNECTIONS_MAX. */
int connections_read(struct connections *ret);
void connections_clear(struct connections *connections);

bool connections_have(const struct connections *connections, uint32_t inode);
