/*
 * run.h - a master from its first breath to its last: made, announced, looped, taken apart.
 */
#pragma once

#include "config/config.h"

#include <stdbool.h>

struct run_options {
    const struct config_source *source; /* borrowed */
    bool daemonize;
    bool outlive_terminal; /* started by nohup */
};

/*
 * Runs the master for a loaded configuration until it has been shut down. Returns the exit code: 0 after a shutdown that was asked
 * for, 1 when it could not start. Signals must be blocked.
 */
int run(struct config *config, const struct run_options *options);
