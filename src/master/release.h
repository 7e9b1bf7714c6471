/*
 * release.h - a configuration and what was opened for it: the one that is in force, that of a reload that runs, or of a
 * candidate. A listener that two of them need is one and the same.
 */
#pragma once

#include "config/config.h"
#include "net/listener.h"

#include <stdbool.h>

struct release {
    struct config *config;
    void *prepared; /* of master_options.prepare(); NULL: nothing outside changes */
    void (*discard)(void *prepared);
    struct listener **listeners; /* one for each of the config's sockets, in their order; NULL-terminated */
};

/* Gives back its references. */
void release_clear(struct release *release);
/* The listener of a socket of its configuration, or NULL. Borrowed. */
struct listener *release_listener(const struct release *release, const struct config_socket *socket);
/* How many sockets it wants of a listener; 0: it does not have it. */
size_t release_wants(const struct release *release, const struct listener *listener);
/* Is it one of those that it wants? */
bool release_keeps(const struct release *release, const struct listener_socket *socket);
