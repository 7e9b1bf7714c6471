/*
 * targets.h - the words that operators name programs and slots with.
 *
 *   all          every program
 *   NAME         a program, or the worker of that name
 *   NAME:*       a program, or every program of a group
 *   NAME:OTHER   slot OTHER of a program, its worker of that name, or program OTHER of a group
 */
#pragma once

#include <stddef.h>

struct master;

struct target {
    char *program; /* its name when it was asked for */
    int slot;      /* -1: all of them */
};

/*
 * 0 and the targets, each once, in the order of the programs (malloc-ed, targets_free()); -ENOENT: there is no such program or
 * group, -ESRCH: it has no such slot or worker, with *ret_name the word (borrowed from `words`); -ENOMEM.
 */
int targets_find(const struct master *master, char *const *words, struct target **ret,
                 size_t *ret_n, const char **ret_name);
/* Likewise, and programs that were removed and still have workers: for those who only look. */
int targets_find_seen(const struct master *master, char *const *words, struct target **ret,
                      size_t *ret_n, const char **ret_name);
void targets_free(struct target *targets, size_t n);
