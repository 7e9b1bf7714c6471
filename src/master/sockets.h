/*
 * sockets.h - listeners for the sockets of a configuration.
 *
 * Errors: 0 or -errno with *ret_error, one line for people (malloc-ed).
 */
#pragma once

#include "master/release.h"
#include "worker/generation.h"

#include <stdbool.h>

struct master;

/* When the master starts: binds, or takes over what was passed. Fills master->release. */
int sockets_bind(struct master *master, struct config *config, char **ret_error);
/*
 * For a reload: keeps those that are open at the same address, binds the others, changes nothing. With `dry` nothing is bound either, and listeners may
 * lack sockets.
 */
int sockets_open(struct master *master, const struct config *config, bool dry, struct release *ret,
                 char **ret_error);
/* The release is in force from now on (its config and listeners are taken over): its names and options are given to the listeners, and what only the old one had is let go. */
void sockets_commit(struct master *master, struct release *release);
/*
 * Gives a new generation its listeners: those of `program` in the release's configuration, which has as many sockets as the generation's own
 * (that may be of an older configuration). 0 or -ENOMEM.
 */
int sockets_hand(const struct release *release, const struct config_program *program,
                 struct generation *generation);
