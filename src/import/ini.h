/*
 * ini.h - a supervisord.conf, taken apart as Python's configparser does it for Supervisor 4.
 *
 * [section], name = value or name: value, further lines of a value are indented; a comment is a line that begins with '#' or
 * ';', or what follows one of them after a blank. Names are in lower case. A section that is there twice is one; of a
 * setting that is there twice the last one counts. Nothing is expanded here.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

#define INI_SECTIONS_MAX 1024
#define INI_OPTIONS_MAX  256 /* of one section */

struct ini_option {
    char *name, *value;
    const char *file; /* borrowed from the ini */
    unsigned line;
    bool used; /* for whoever translates: what is left over is told */
};

struct ini_section {
    char *name;
    const char *file;
    unsigned line; /* where it is first */
    bool used;
    struct ini_option *options;
    size_t n_options;
};

struct ini {
    struct ini_section *sections;
    size_t n_sections;
    char **files; /* their names, as given to ini_parse() */
};

void ini_clear(struct ini *ini);
#define CLEANUP_INI CLEANUP(ini_clear)

/*
 * Adds a file's text (valid UTF-8). 0, or -EINVAL with *ret_error "FILE:LINE: what is wrong, what is expected" (malloc-ed), or
 * -ENOMEM; after a failure the ini may only be cleared.
 */
int ini_parse(struct ini *ini, const char *file, const char *text, char **ret_error);

/* NULL: there is none. */
struct ini_section *ini_find(const struct ini *ini, const char *name);
struct ini_option *ini_find_option(const struct ini_section *section, const char *name);
