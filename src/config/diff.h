/*
 * diff.h - what one configuration changes against another. Pure: two configurations in, a description out.
 *
 * Sockets are the same where their address is: a name alone may change. Programs are the same where their name is; a name that is gone and a new
 * one with the very same keys are one program that was renamed. A program `rolls` when its workers are to be made of something else: one of its own
 * keys, or what it is handed. What changes of a socket while its address stays is applied to the socket, and nobody is replaced.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"

#include <stdbool.h>

enum config_fate { CONFIG_KEPT, CONFIG_CHANGED, CONFIG_ADDED, CONFIG_REMOVED };

struct config_socket_change {
    enum config_fate fate;
    const struct config_socket *from, *to; /* borrowed; NULL where it was added, removed */
    bool renamed;
    bool moved;  /* to another program, or further ones */
    bool rebind; /* it listens at an address where the old one did not */
    char **keys; /* "backlog: unset -> 128" for each key that differs; NULL: none */
};

struct config_program_change {
    enum config_fate fate;
    const struct config_program *from, *to;
    bool renamed;
    bool rolls;             /* ADDED always, REMOVED never */
    bool only_more_sockets; /* nothing but sockets were added behind those it had */
    char **keys;            /* likewise, and "socket 'web': listen: 80 -> 81" */
};

struct config_diff {
    struct config_socket_change
        *sockets; /* those of the new configuration in their order, then the removed ones */
    size_t n_sockets;
    struct config_program_change *programs; /* likewise */
    size_t n_programs;
    char **settings; /* "log.level: info -> debug": keys at the top */
};

/* Both configurations must outlive it. 0 or -ENOMEM. */
int config_diff_new(const struct config *from, const struct config *to, struct config_diff **ret);
struct config_diff *config_diff_free(struct config_diff *diff);
DEFINE_FREEP(struct config_diff *, config_diff_free)

/* Are two sockets, each of its configuration, at the same address (of all slots that both have)? */
bool config_same_address(const struct config *from, const struct config_socket *a,
                         const struct config *to, const struct config_socket *b);

/* Borrowed; by the name that it has in the new configuration, of a removed one in the old. NULL: none. */
const struct config_program_change *config_diff_program(const struct config_diff *diff,
                                                        const char *name);
bool config_diff_is_empty(const struct config_diff *diff);

/* Has a key at the top changed whose name, or whose section, is this? */
bool config_diff_has_setting(const struct config_diff *diff, const char *name);
