/* strays.h - for the reaper: our children that are no leaders, as one pass over /proc finds them, and those that were left alone. */
#pragma once

#include "worker/reaper.h"

#define STRAYS_MAX      1024 /* looked at in one pass */
#define STRAYS_LEFT_MAX 64

struct stray {
    pid_t pid;
    bool looked_at;
    char *mark; /* once looked at; NULL: it has none, or nobody may read it */
};

struct strays {
    pid_t *leaders; /* of all entries, sorted; NULL between two passes */
    size_t n_leaders;
    struct stray *found;
    size_t n_found;
    struct reaper_left left[STRAYS_LEFT_MAX];
    size_t n_left;
};

/* A pass begins, ends. 0 or -ENOMEM: then none is found in it. */
int strays_begin(struct strays *strays, const struct list *entries, size_t n_entries);
void strays_end(struct strays *strays);
void strays_clear(struct strays *strays);

/* A child of ours, as group_scan() tells; one that is dead and nobody's is reaped. userdata: struct strays. */
void strays_see_child(pid_t pid, bool dead, void *userdata);

/* Tells the entry of those that are its own; if they stay they are remembered. True: there are some. */
bool strays_tell(struct strays *strays, const struct reaper_entry *entry, bool stay);
