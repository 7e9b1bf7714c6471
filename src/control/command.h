/*
 * command.h - tables of methods. A row carries what a caller must know; the check of its parameters and the
 * interface description in Varlink's language are derived from it, so that they can't disagree. Pure.
 */
#pragma once

#include "control/varlink.h"

#include <stdio.h>

/* Who calls. Each may do what those before it may. */
enum control_role {
    CONTROL_ROLE_GATEWAY,  /* the HTTP gateway, on a connection that the master gave it */
    CONTROL_ROLE_OPERATOR, /* root, the master's own user, members of control.group */
};

enum command_type { COMMAND_BOOL, COMMAND_INT, COMMAND_STRING, COMMAND_STRINGS, COMMAND_ANY };

struct command_parameter {
    const char *name; /* NULL ends the list */
    enum command_type type;
    bool required;
    bool later; /* designed, but not in this version: refused by that word, and not described */
};

#define COMMAND_PARAMETERS_MAX 8

struct command {
    const char *name;
    /* lines of text; NULL: designed, but not in this version, and not described */
    const char *help;
    const char *reply; /* its parameters in Varlink's language, "(version: string)" */
    struct command_parameter parameters[COMMAND_PARAMETERS_MAX];
    enum control_role role; /* the least that may call it */
    bool acts;              /* it changes something; others may be called as often as one likes */
    bool more;              /* replies more than once, if asked by `more` */
    bool streams;           /* makes no sense without `more` */
    unsigned method;        /* what performs it: enum method; 0: not in this version */
};

struct command_interface {
    const char *name;
    const char *help;
    const char *types;  /* in Varlink's language; may be empty */
    const char *errors; /* likewise */
    const struct command *commands;
    size_t n_commands;
};

/* The interface of that name (of `length` bytes), or NULL. */
const struct command_interface *
command_find_interface(const struct command_interface *const *interfaces, size_t n_interfaces,
                       const char *name, size_t length);

const struct command *command_find(const struct command_interface *interface, const char *name);

/*
 * 0; -EINVAL: *ret_name names a parameter that is missing, unknown or of the wrong type; -EOPNOTSUPP: one that is not in
 * this version. null counts as absent. *ret_name is borrowed from the table or from `parameters`.
 */
int command_check(const struct command *command, json_t *parameters, const char **ret_name);

/* The interface description, as GetInterfaceDescription returns it. malloc-ed or NULL when memory is short. */
char *command_describe(const struct command_interface *interface);
