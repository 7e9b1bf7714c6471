/*
 * pins.h - what the workers of one generation are made of, whatever becomes of its name meanwhile: the directory they start in, held
 * by a descriptor, and the identity of the program file.
 *
 * A directory stays the one that the generation found, wherever its symbolic links lead later and even if it is renamed. Only
 * one that was removed is looked for by its path again. A program file cannot be held: that another one is there now is only noticed.
 * In both cases the worker is `mixed`: it is made of something else than the generation's first workers were.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct pins;

/* Reference-counted: a generation that goes back to an earlier one's directory shares its pins. NULL when memory is short. */
struct pins *pins_new(void);
struct pins *pins_ref(struct pins *pins);
struct pins *pins_unref(struct pins *pins);
DEFINE_FREEP(struct pins *, pins_unref)

/* Holds a directory from now on. One that cannot be opened is tried again by pins_enter(). 0 or -ENOMEM. */
int pins_hold(struct pins *pins, const char *directory);

/* Where a worker is to start. */
struct pinned_place {
    int fd; /* for fchdir(); borrowed from the pins; -errno: it is not there (any more) and its path cannot be opened */
    char *directory; /* the absolute path that it has now (malloc-ed) */
    const char *configured; /* and the one that it was asked for by; the caller's */
    bool mixed;
    char *remark; /* for people, where mixed; else NULL (malloc-ed) */
};

/* The place behind `directory` (borrowed by the result), which is held if it was not. 0 or -ENOMEM. */
int pins_enter(struct pins *pins, const char *directory, struct pinned_place *ret);

/*
 * Looks at the program file: the first argument that is a regular file under the directory (by either of its paths), else the executable. The first worker's is remembered,
 * another one marks the place as mixed. 0 or -ENOMEM.
 */
int pins_compare_program(struct pins *pins, struct pinned_place *place, char *const *argv,
                         const char *executable);

/* The same file: one of argv, or `executable` (which may be NULL), as written there; NULL: it is not there. */
const char *pinned_place_find_program(const struct pinned_place *place, char *const *argv,
                                      const char *executable);

/* Does `new`, which no worker was made of yet, hold the same directories, and are the program files of `old` still what they were? */
bool pins_are_same(const struct pins *old, struct pins *new);

void pinned_place_clear(struct pinned_place *place);
