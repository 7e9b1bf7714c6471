/* tail-place.h - in words, where output is that no file has. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/*
 * Of an Output of Logs' reply, and of the log of that reply: where it goes and how to look at it; malloc-ed. `whole`: of all the program's
 * slots.
 */
char *tail_place_explain(json_t *output, json_t *log, bool whole);
/* Can it be watched as it is printed? */
bool tail_place_is_live(json_t *output);
