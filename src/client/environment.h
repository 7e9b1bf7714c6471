/* environment.h - what the master put into the environment of this process. */
#pragma once

#include "base/macros.h"

#define LISTENERS_MAX 4096

struct listener {
    int fd;
    char *name;
};

struct environment {
    struct listener *listeners;
    size_t n_listeners;
    int channel_fd;      /* -1: none */
    char *notify_socket; /* NULL: none */
    char *program;
    long slot, generation; /* -1: not said */
};

/* Fills an environment that is zeroed; on failure too it is the caller's to clear. Errors are those of reloader_new(). */
int environment_read(struct environment *environment);

/* Removes the variables from the process. */
void environment_unset(void);
