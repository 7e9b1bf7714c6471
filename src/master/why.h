/*
 * why.h - why workers are still here: what each waits for, how long it may, why it was told to leave; and which processes and connections it
 * has, as reloader-why finds out (inquiry.h).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct inquiry;
struct master;

struct why_wish {
    char *const *
        names; /* as of targets.h; NULL: all programs, removed ones that are not gone yet included */
    bool all;  /* also workers that are not on their way out */
};

/*
 * 0 with an id: the answer comes by event_bus_answer(), in a later turn of the event loop, unless why_forget() was called; or with id 0 and the
 * answer itself, where there is nothing to be found out: {"workers": […], "failure"?}. Else as targets_find_seen().
 */
int why_ask(struct master *master, const struct why_wish *wish, uint64_t *ret_id, json_t **ret,
            const char **ret_name);
void why_forget(struct master *master, uint64_t id);

/* For inquiry.c: what reloader-why said (borrowed), or NULL and why it said nothing. */
void why_answer(struct master *master, const struct inquiry *inquiry, const json_t *found,
                const char *failure);
