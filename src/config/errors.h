/*
 * errors.h - everything that is wrong with a configuration, collected so that all of it is said at once.
 *
 * Each error has a place: a file with line and column, or just an origin such as "--set web.workers=0".
 */
#pragma once

#include "base/macros.h"

#include <stdarg.h>
#include <stdbool.h>

#define ERRORS_MAX 100 /* kept; more are counted */

struct place {
    const char *origin;    /* borrowed */
    unsigned file;         /* its place among all files, for the order of messages; 0: the main one, or none */
    unsigned line, column; /* from 1; 0: not known */
};

struct error;

struct errors {
    size_t n, dropped;
    struct error *list;
    bool no_memory; /* nothing collected here tells all any more */
};

void errors_clear(struct errors *errors);
#define CLEANUP_ERRORS CLEANUP(errors_clear)

static inline bool errors_any(const struct errors *errors)
{
    return errors->n > 0 || errors->no_memory;
}

static inline size_t errors_count(const struct errors *errors)
{
    return errors->n + errors->dropped;
}

/* False once ERRORS_MAX are kept: the words for further ones are wasted, they are only counted. */
static inline bool errors_wanted(const struct errors *errors)
{
    return errors->n < ERRORS_MAX;
}

/* " in line 7", or "" where lines are not known. Returns buffer. */
#define LINE_TEXT_SIZE 32
const char *line_to_text(unsigned line, char buffer[LINE_TEXT_SIZE]);

/* "ORIGIN:LINE:COLUMN", or "ORIGIN" where lines are not known. malloc-ed or NULL. */
char *place_to_text(const struct place *place);
/* " in line 7" of the same file, " in FILE:7:1" of another one, or "" where lines are not known. malloc-ed or NULL. */
char *place_seen_from(const struct place *place, const struct place *from);

/* `path` is that of the key ("programs.web.workers"), or NULL. */
void errors_add(struct errors *errors, const struct place *place, const char *path,
                const char *format, ...) PRINTF_LIKE(4, 5);
void errors_add_list(struct errors *errors, const struct place *place, const char *path,
                     const char *format, va_list arguments) PRINTF_LIKE(4, 0);

/* "ORIGIN:LINE:COLUMN: PATH: TEXT\n" each, in the order of the files. malloc-ed or NULL. */
char *errors_to_text(struct errors *errors);
