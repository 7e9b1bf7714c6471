/*
 * lookup.h - users and groups that a reload names and no file knows are asked for beside the loop: config/names.h says how.
 *
 * The reload that needs them stays wanted meanwhile, and is read anew when the answers are there.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct names;

struct lookup {
    struct names *names;
    sd_event_source *answers, *patience; /* while somebody is asking */
    bool answered;                       /* since the last reload that was read */
    void (*done)(void *userdata);
    void *userdata;
};

/* 0 or -ENOMEM. */
int lookup_init(struct lookup *lookup, void (*done)(void *userdata), void *userdata);
void lookup_clear(struct lookup *lookup);

/* What is known, for config_load(): fresh, unless it was just asked for. */
struct names *lookup_names(struct lookup *lookup);
bool lookup_is_asking(const struct lookup *lookup);
/*
 * Asks what is open. 0: done() is called when all is answered, or at once if nobody can be asked, as that is the answer then.
 * -ENOENT: nothing is open.
 */
int lookup_ask(struct lookup *lookup, sd_event *event);
