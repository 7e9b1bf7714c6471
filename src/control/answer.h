/* answer.h - what every handler of a method does: read names, answer with JSON, or say what went wrong. */
#pragma once

#include "control/client.h"

/* Takes over `parameters`; NULL, want of memory, is answered as such. Ends the call. */
void answer(struct client *client, json_t *parameters);
/*
 * The error that fits a negative errno of an op: -ENOENT NoSuchProgram, -ESRCH NoSuchWorker (both with `name`), -ESHUTDOWN
 * ShuttingDown, others Failed, with strerror's words.
 */
void answer_failure(struct client *client, int r, const char *name);
/* Failed, with a reason of the handler's own. */
void answer_reason(struct client *client, const char *reason);
void answer_invalid(struct client *client, const char *parameter);
/* 0 and a list of strings, to be freed by strv_free(), or -ENOMEM. `list` was checked to be one, or absent (then *ret stays). */
int answer_read_names(json_t *list, char ***ret);
/*
 * What a call with an id gets that may wait for its end: the id at once if it does not wait or wants progress. Returns whether
 * it waits.
 */
bool answer_accepted(struct client *client, const struct varlink_call *call, uint64_t id);
