/*
 * probing.h - reloader-probe, the helper that checks workers by HTTP and TCP: started with the first check, told of each.
 *
 * It keeps the time of all checks by itself and says what has changed, so that the master has next to nothing to do while all is well. When it
 * dies, the next one is told of all checks and begins anew: how many have failed in a row is counted by the workers.
 */
#pragma once

#include "base/log.h"
#include "master/helper.h"
#include "worker/probe.h"

struct probing {
    struct helper *helper;
    struct probe_sink sink;
    struct list told, waiting; /* checks that it knows, and those that it has yet to be told of */
    uint64_t last_number;
    struct log_limit complaints;
    bool resets; /* it has yet to be told to forget all: there was no room to say it of one */
};

int probing_new(sd_event *event, struct reaper *reaper, struct probing **ret);
/* All checks have been dropped. */
struct probing *probing_free(struct probing *probing);
DEFINE_FREEP(struct probing *, probing_free)

/* Valid as long as the probing. */
const struct probe_sink *probing_sink(const struct probing *probing);
