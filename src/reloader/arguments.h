/*
 * arguments.h - the command line of reloader, taken apart. Nothing is executed here.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdio.h>

enum arguments_mode {
    ARGUMENTS_MODE_MASTER,
    ARGUMENTS_MODE_CHECK,        /* say whether the configuration is valid */
    ARGUMENTS_MODE_PRINT_CONFIG, /* print the effective one */
    ARGUMENTS_MODE_IMPORT,       /* translate `path`, another supervisor's file */
    ARGUMENTS_MODE_LIST_KEYS,    /* needs no configuration, as those below */
    ARGUMENTS_MODE_HELP,
    ARGUMENTS_MODE_VERSION,
};

struct arguments {
    enum arguments_mode mode;
    bool daemonize;
    char *path;      /* of the configuration, absolute; NULL for `reloader run` */
    char *text;      /* the configuration that `reloader run` means, else NULL */
    char *directory; /* the current one when the command was given */
    char **sets;     /* --set, and what -e, -l, -j and run's options mean */
};

void arguments_clear(struct arguments *arguments);
#define CLEANUP_ARGUMENTS CLEANUP(arguments_clear)

/*
 * 0, or with *ret_error for people (malloc-ed): -EINVAL a wrong use (exit code 2), -ENOENT no configuration was named and none
 * is where it is looked for (exit code 3); or -ENOMEM.
 */
int arguments_parse(int argc, char *argv[], struct arguments *ret, char **ret_error);

/* What config_load() wants, borrowed from the arguments. */
struct config_source arguments_source(const struct arguments *arguments);

void arguments_print_help(FILE *stream);
