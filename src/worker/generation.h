/*
 * generation.h - what workers of one generation are made from: immutable but for what it learns about the command.
 *
 * Reference-counted: the program holds the committed one and the target of a reload, each worker holds its own. Numbers count
 * from 1 per program and are never used twice. So a socket stays open as long as there is a worker that was given it.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"
#include "net/listener.h"
#include "worker/pins.h"

/* What is known of a command by having run it; shared by all generations with the very same command. */
struct generation_habits {
    unsigned references;
    bool announces; /* a worker has said that it is ready: time alone proves nothing any more */
    bool deaf; /* a worker left its channel unread for drain_grace: the signal goes out at once */
};

struct generation {
    unsigned references;
    uint64_t number;
    struct config *config; /* keeps `program` alive */
    const struct config_program *program;
    struct config_program *absent; /* its own `program`, of one that is not there; else NULL */
    char *const *master_environment; /* for %(ENV_X)s; borrowed, of the process */
    /* of the master (cleaned) and of environment_file, as read when it was made */
    char **environment;
    struct generation_habits *habits;
    struct pins *pins; /* its directory and program file, whatever their names lead to later */
    struct listener **listeners; /* of the program's sockets, in their order; NULL before generation_hand() */
};

/*
 * Makes the generation of one program of a configuration. `previous` may be NULL; its habits are taken over if the command is the
 * same. `environment` is the master's own and must outlive the generation. 0, or -errno with *ret_error (malloc-ed) when environment_file cannot be read.
 */
int generation_new(struct config *config, const struct config_program *program, uint64_t number,
                   const struct generation *previous, char *const *environment,
                   struct generation **ret, char **ret_error);
/*
 * Number 0: a program that is not there yet, so no workers are wanted. What a reload that adds it goes back to. 0 or -ENOMEM.
 */
int generation_new_absent(struct config *config, const struct config_program *program,
                          struct generation **ret);
/* A new generation made of the very same things as an earlier one, but for its listeners. 0 or -ENOMEM. */
int generation_again(const struct generation *earlier, uint64_t number, struct generation **ret);
/* The same generation, number included, of a configuration that differs in the number of its workers alone. 0 or -ENOMEM. */
int generation_scaled(const struct generation *earlier, struct config *config,
                      const struct config_program *program, struct generation **ret);
/* Gives it the listeners of its program's sockets, in their order; references are taken. Once. 0 or -ENOMEM. */
int generation_hand(struct generation *generation, struct listener *const *listeners);
/* Would their workers be made of the same: users, environment, directories, program files as they are now? The configuration is the caller's to compare. */
bool generation_is_same(const struct generation *old, const struct generation *new);
/* Is what their operator gives them besides the configuration the same: users and environment? Files are not looked at. */
bool generation_is_told_the_same(const struct generation *old, const struct generation *new);
struct generation *generation_ref(struct generation *generation);
struct generation *generation_unref(struct generation *generation);
DEFINE_FREEP(struct generation *, generation_unref)
