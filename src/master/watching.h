/*
 * watching.h - programs whose files are watched, and the configuration's: when they change, a reload is asked for.
 *
 * What is watched follows from what is committed. A watch stays as long as that is the same, so that nothing is missed meanwhile; a new
 * one also counts what changed since the reload that brought it began.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct master;
struct watching;

/* Watches nothing yet. To be freed before the master's event loop. 0 or -errno. */
int watching_new(struct master *master, struct watching **ret);
struct watching *watching_free(struct watching *watching);
DEFINE_FREEP(struct watching *, watching_free)

/*
 * Another configuration, or other generations, are committed. `began_usec` (monotonic) is when whatever made them so began: changes
 * until then are in the new generations, and, if it `read` the configuration, in that one, and are forgotten; those after it count.
 */
void watching_update(struct watching *watching, uint64_t began_usec, bool read);
/* What changed up to now is noticed: before a reload begins that covers it. Takes a few milliseconds at most. */
void watching_catch_up(const struct watching *watching);
/* Nothing is watched any more. */
void watching_stop(struct watching *watching);
