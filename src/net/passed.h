/*
 * passed.h - sockets that somebody else bound and passed to us: systemd (sd_listen_fds(3)), or whoever left descriptor N open.
 *
 * Taken in once at the start, by the process that was started (LISTEN_PID names it). Each must be ready to use: a stream socket
 * that listens, or a datagram socket that is bound. passed_match() then finds out which one the configuration means by which of
 * its entries; it is pure. What nobody claims is an error: a socket that is held but not served would swallow connections.
 */
#pragma once

#include "base/address.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct passed_socket {
    int number; /* the descriptor as it was passed */
    int fd;     /* the same, but for standard input; -1 once it was handed on */
    char *name; /* FileDescriptorName=; NULL: not from systemd */
    struct address address;
    int type;        /* SOCK_STREAM or SOCK_DGRAM */
    bool dual_stack; /* an IPv6 socket that takes IPv4 as well */
    bool claimed;
};

struct passed_sockets {
    struct passed_socket *list;
    size_t n;
};

/*
 * Takes what systemd passed, if it did; its variables stay, no worker gets them. 0 (also when there is none) or -errno with
 * *ret_error: one line that names the descriptor that is no such socket (malloc-ed).
 */
int passed_from_systemd(struct passed_sockets *ret, char **ret_error);
/*
 * Takes descriptor `number` as well (`listen: fd:N`), unless it is in the list already. Standard input is moved away, and is
 * /dev/null from then on. 0, or -errno with *ret_reason: "descriptor 7 is not open, …".
 */
int passed_add(struct passed_sockets *passed, int number, char **ret_reason);
/* Closes what was not handed on. */
void passed_clear(struct passed_sockets *passed);

/* What one entry of the configuration (or one slot of it) would like to have. */
struct passed_wish {
    const char *name;
    struct address address; /* unused with a number */
    int type;
    int number;                  /* of `listen: fd:N`; -1: by name or address */
    bool address_only;           /* one of several slots: the name tells nothing */
    struct passed_socket *taken; /* the answer; NULL: bind it ourselves */
    bool elsewhere;              /* taken by its name, from another address */
};

/*
 * By number; by name and address; by a name that only one passed socket has; by address; at last a dual-stack [::]:PORT for
 * 0.0.0.0:PORT, which it serves. Each passed socket is given once, never one of another type.
 */
void passed_match(struct passed_wish *wishes, size_t n_wishes, struct passed_sockets *passed);

/* NULL: all are claimed. Else one line that names each that is not, and says what to do (malloc-ed). */
char *passed_describe_unclaimed(const struct passed_sockets *passed);
