/*
 * followers.h - who wants to see what which workers print, as they print it: `reloaderctl tail -f`, and programs whose output is events.
 *
 * reloader-log copies lines of those streams alone, and not more of them than we can deal with (logger/tap.h). A follower is known by its id,
 * and follows slots, whichever workers these have.
 */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "master/targets.h"
#include "worker/output.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct followers {
    struct list list;
    uint64_t last_id;
    struct log_limit events; /* how many lines become events */
};

void followers_init(struct followers *followers);
void followers_clear(struct followers *followers);

/* Of these streams (bits, 1 << enum config_stream); targets are taken over. 0 or -ENOMEM. */
int followers_add(struct master *master, struct target *targets, size_t n_targets, unsigned streams,
                  uint64_t *ret_id);
void followers_remove(struct master *master, uint64_t id);

/* For the logging's owner: does anybody want this pipe's lines? And here they are: whole ones, and how many were left out before them. */
bool followers_want(const struct output_pipe *pipe, void *master);
void followers_tell(const struct output_pipe *pipe, const char *text, uint64_t missed,
                    void *master);
