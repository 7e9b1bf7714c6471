/* environment.h - what the master put into the environment of this process. */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

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
    bool spread; /* there is a disconnect_spread: it is worth while to say that we know it */
    size_t awaited; /* listeners that are still to come over the channel */
};

/* Fills an environment that is zeroed; on failure too it is the caller's to clear. Errors are those of reloader_new(). */
int environment_read(struct environment *environment);

/* Takes over fd, as the last listener, and makes it close-on-exec. 0, -E2BIG, -ENOMEM, or what fcntl(2) says. */
int environment_add(struct environment *environment, int fd, const char *name, size_t length);
/* Forgets all but the first n listeners, and closes them. */
void environment_cut(struct environment *environment, size_t n);

/* Removes the variables from the process. */
void environment_unset(void);
