/*
 * daemonize.h - leave the terminal, and tell whoever started us how it went.
 *
 * The parent waits, and leaves with 0 once the master says that it is ready, else with the code the master leaves with.
 * Until then the master's messages still go to the terminal.
 */
#pragma once

#include "base/macros.h"

/*
 * Forks. In the parent it does not return. In the child: 0, the fd over which daemonize_ready() reports, and the terminal,
 * to which the log goes until then (stdin, stdout and stderr are /dev/null at once). Or -errno, when nothing was forked.
 */
int daemonize(int *ret_fd, int *ret_terminal);

/* Everything runs: releases the parent and lets go of the terminal. Returns -1. */
int daemonize_ready(int fd, int terminal);
