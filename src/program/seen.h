/*
 * seen.h - what the entries of a directory looked like when they were last looked at.
 *
 * A hash table of hashes: names are not kept.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/stat.h>

struct watch_directory;
struct watch_route;

struct seen_entry {
    uint64_t name;                     /* a hash; 0: the place is free */
    uint64_t state;                    /* of seen_state() */
    struct watch_directory *directory; /* what is watched below it; owned */
    struct watch_route *route;         /* where it leads, if it is a link; owned */
    unsigned round;                    /* of the scan that saw it last */
};

struct seen {
    struct seen_entry *entries;
    size_t size, used; /* size is a power of 2, or 0 */
};

/* What a file is, as one number: where it is, its time of modification, size, mode and owner. Never 0, which is no file. */
uint64_t seen_state(const struct stat *st);

/* NULL: there is none. Entries move when others are added or removed. */
struct seen_entry *seen_find(const struct seen *seen, const char *name);
/* The one of that name, which may be new (its state is 0); NULL: no memory. */
struct seen_entry *seen_get(struct seen *seen, const char *name);
/* What it owns was freed before. */
void seen_remove(struct seen *seen, struct seen_entry *entry);
void seen_clear(struct seen *seen);
