/* launch.h - from a worker's command, sockets and channel to a process. Part of worker.c, in a file of its own. */
#pragma once

#include "worker/environment.h"
#include "worker/worker.h"

/*
 * Forks and execs: sets worker->pid and worker->pidfd. `channel_fd` is the worker's end, borrowed. 0, or -errno with *ret_error,
 * the step and reason without the worker's name (malloc-ed).
 */
int worker_launch(struct worker *worker, const struct worker_params *params,
                  const struct worker_command *command, int channel_fd, char **ret_error);
