/*
 * pattern.h - paths with wildcards, decided name by name while a tree is walked.
 *
 * Within a name `*`, `?` and `[...]` are as in fnmatch(3); they match names that begin with a dot as well. `**`, as a whole
 * name, is any number of directories, none included. A backslash takes the meaning from what follows it.
 * A path without wildcards is a file, or a directory with all that is in it; one that ends with a slash, or with `**`, is all that
 * is in the directories it names.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

#define PATTERN_PARTS_MAX 32

struct pattern {
    char *prefix; /* the path up to its first wildcard, absolute, backslashes resolved */
    char **parts; /* the names behind it: a pattern each */
    unsigned n_parts;
    bool
        plain; /* no wildcards: `prefix` may be a file, and `parts` are all that is in a directory */
};

/* `path` is absolute. 0, -ENOMEM, or -EINVAL with a reason for people in *ret_reason (static text). */
int pattern_new(const char *path, struct pattern **ret, const char **ret_reason);
struct pattern *pattern_free(struct pattern *pattern);
DEFINE_FREEP(struct pattern *, pattern_free)

/* Where in the parts a walk may be: bit i stands for parts[i]. At the directory `prefix`: */
uint64_t pattern_begin(const struct pattern *pattern);

/* One name further. */
struct pattern_step {
    bool matches; /* as a file it is one of those that are meant */
    uint64_t
        enter; /* where the walk is inside, if it is a directory; 0: there is nothing to look for */
    uint64_t through; /* the same if it is a link to one: `**` does not go through links */
};
struct pattern_step pattern_step(const struct pattern *pattern, uint64_t positions,
                                 const char *name);

/* The path with a backslash before all that would be a wildcard. malloc-ed or NULL. */
char *pattern_quote(const char *path);

/* Patterns of single names, "*.tmp": does any of them match? */
bool pattern_match_name(char *const *patterns, const char *name);
/* NULL, or why it is no pattern of a single name (static text). */
const char *pattern_check_name(const char *pattern);
