/* hand-over.h - listening sockets over the channel (handoff scm-rights). */
#pragma once

#include "worker/channel.h"
#include "worker/worker.h"

/*
 * Sends {"reloader":"listeners","names":[…]} with the sockets of the program from number `first` on, in its order; more than
 * CHANNEL_FDS_MAX in several such lines. All of them, before the worker is forked: they are the first thing it reads, and what does
 * not fit is a failed start. 0, or -errno with *ret_error without the worker's name (malloc-ed).
 */
int hand_over_listeners(struct channel *channel, const struct generation *generation, unsigned slot,
                        size_t first, char **ret_error);
