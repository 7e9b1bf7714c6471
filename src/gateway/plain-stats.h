/*
 * plain-stats.h - what /stats answers. Pure.
 *
 *   {"result":{"master":{"pid":1,"cpu":0.00,"mem":4.31,"uptime":{"days":0,"hours":0,"minutes":1,"seconds":2}},
 *    "workers":[{"pid":2,"cpu":99.87,"mem":10.50}],"total":{"cpu":99.87,"mem":14.81}}}
 *
 * without blanks, always in this order. cpu is in percent of one CPU, mem the resident memory in MB of 1,048,576 bytes: numbers with two decimals, always.
 * total is the sum of the others as they are printed. Workers are those of all programs, in the order of the status; not the gateway, which is a part of
 * the reloader.
 */
#pragma once

#include "base/macros.h"
#include "gateway/usage.h"

#include <jansson.h>

/* As usage_look(). */
typedef int (*plain_look)(pid_t pid, pid_t parent, struct usage_sample *ret, void *userdata);

/*
 * Of the reply to Status. *ret is malloc-ed, *ret_size without its NUL. A worker that `look` does not find has gone meanwhile, and is left out.
 * 0, -ENOMEM, -EBADMSG if that is no status, or what `look` says of the master.
 */
int plain_print_stats(json_t *status, plain_look look, void *userdata, char **ret,
                      size_t *ret_size);
