/*
 * known.h - all listeners that are open, whoever holds them: the releases, the generations of programs, workers of older generations.
 */
#pragma once

#include "base/macros.h"
#include "config/config.h"
#include "net/listener.h"

#include <stddef.h>

struct master;
struct program;

/* A listener, and a socket of a configuration that it was opened for. Borrowed. */
struct known_listener {
    struct listener *listener;
    const struct config *config;
    const struct config_socket *socket;
};

struct known {
    struct known_listener *list; /* each listener once; those of the configuration in force first */
    size_t n;
};

/* 0 or -ENOMEM. Nothing of it outlives the next step of the master. */
int known_collect(const struct master *master, struct known *ret);
void known_clear(struct known *known);
#define CLEANUP_KNOWN CLEANUP(known_clear)

/* Has this program the listener, in its committed generation or in the one that a reload brings? */
bool known_is_of(const struct listener *listener, const struct program *program);
/*
 * How many of its slots may need the listener's sockets: all of a program that has it and starts workers in them, else up to the last worker that was
 * given it. Slots of a program that is not started are there for a reload's sake alone.
 */
size_t known_slots(const struct listener *listener, const struct program *program);
