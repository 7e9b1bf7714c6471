/*
 * expand.h - Supervisor's %(name)s expansions.
 *
 * %(program_name)s %(process_num)s %(process_num)02d %(group_name)s %(here)s %(host_node_name)s %(generation)s
 * %(fd:SOCKET)s %(ENV_NAME)s; "%%" is a percent sign. s and d with an optional zero flag and width are the only conversions.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct expansion {
    const char *program_name; /* NULL: not known here, using it is an error (as for all below) */
    const char *group_name;
    const char *here;
    const char *host_node_name;
    const unsigned *process_num;
    const uint64_t *generation;
    /* The fd number that socket `name` will have in the worker, -ENOENT, or -ENXIO if it will have none. NULL: not known here. */
    int (*socket_fd)(const char *name, void *userdata);
    void *userdata;
    /* %(ENV_X)s is looked up in this block. */
    char *const *environment;
};

/* 0 and malloc-ed text, or -EINVAL with a reason for people that lists what is known here (malloc-ed), or -ENOMEM. */
int expand(const char *text, const struct expansion *expansion, char **ret, char **ret_reason);

/* The same text with %(here)s spelled out, and everything else as it is. malloc-ed or NULL. */
char *expand_here(const char *text, const char *here);

/* Does `text` use %(name)s, with whatever width? */
bool expand_uses(const char *text, const char *name);
