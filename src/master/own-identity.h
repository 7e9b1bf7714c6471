/*
 * own-identity.h - who the master itself is, and within what limits: the keys `user` and `limits` at the top of the file.
 *
 * It binds, makes its directories and opens its log as who it was started as. From then on it is `user`, for good, with one privilege: ports
 * below 1024, so that a reload can add one. Its workers are that user as well.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"

struct master;

/* At least what the configuration says. 0, or -errno with *ret_error, one line (malloc-ed). */
int own_limits_raise(const struct config *config, char **ret_error);

/* Once, before the first worker starts. 0, or -errno with *ret_error. */
int own_identity_take(struct master *master, char **ret_error);
