/*
 * steering.h - which socket of a SO_REUSEPORT group a new connection or datagram goes to.
 *
 * The kernel keeps a group as an array, in the order in which its sockets began to listen (of UDP: were bound); one that leaves is replaced
 * by the last. A classic BPF program says which index is taken. It hashes the flow (addresses and ports), so that all datagrams of a
 * flow, and the handshake that a SYN cookie stands for, find the same socket. A socket that is alive is chosen for 1/n of all flows;
 * the share of one that is not is spread over the others, whose own flows do not move.
 *
 * Source: linux/net/core/sock_reuseport.c; socket(7), SO_ATTACH_REUSEPORT_CBPF.
 */
#pragma once

#include "base/macros.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sockets are numbered from 0 without gaps, as slots are. Their order in the group is another one. */
struct steering {
    unsigned *index; /* socket -> place in the kernel's array */
    size_t n;
    uint32_t seed; /* of the hash: clients are not to choose their worker */
    bool is_lost;  /* several left, and nobody saw in which order: the kernel has to choose */
};

void steering_clear(struct steering *steering);
/* One more socket began to listen, as number n. 0 or -ENOMEM. */
int steering_add(struct steering *steering);
/* Number n - 1 has left the group. */
void steering_remove_last(struct steering *steering);
/* This one left and began to listen again. */
void steering_again(struct steering *steering, size_t number);

#define STEERING_SOCKETS_MAX 1024
#define STEERING_PROGRAM_MAX BPF_MAXINSNS

/*
 * The program that chooses among those sockets of which `alive[number]` holds; where none does, the kernel chooses. *ret is malloc-ed. 0
 * or -ENOMEM; -E2BIG for more than STEERING_SOCKETS_MAX sockets.
 */
int steering_build(const struct steering *steering, const bool *alive, struct sock_filter **ret,
                   size_t *ret_n);
/* Attaches it to the group of this socket, in place of an earlier one. 0 or -errno. */
int steering_attach(int fd, struct sock_filter *program, size_t n);
/*
 * Makes a socket that is not bound yet a group of its own, which chooses that socket: what joins gets nothing before a program says
 * so. SO_REUSEPORT is off afterwards; it is to be set when the socket listens. 0 or -errno.
 */
int steering_found_group(int fd);
