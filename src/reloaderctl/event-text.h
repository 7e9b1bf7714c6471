/* event-text.h - one line of text for an event. */
#pragma once

#include <jansson.h>

/*
 * "worker web/2: READY -> DRAINING, pid 4711, generation 6 (reload 7)" · "reload 7 ended: committed" ·
 * "rollout web: canary, 0 of 4 ready" · "message web/0: {…}" · for other types the
 * fields as "name=value". Safe for terminals; malloc-ed.
 */
char *event_text(json_t *event);
