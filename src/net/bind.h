/* bind.h - one listening socket: bound, listening, described; or one line that says why not. Inside net only. */
#pragma once

#include "net/listener.h"

/*
 * `joins`: with the option reuseport, beside a socket of the same listener; the first one has to get the address for itself.
 * 0 or -errno with *ret_error (malloc-ed; NULL when memory is short).
 */
int listener_socket_open(const struct address *address, const struct listener_options *options,
                         bool joins, struct listener_socket **ret, char **ret_error);

/* The last one removes the file of a Unix socket if it is still the one that was bound, and closes. Returns NULL. */
struct listener_socket *listener_socket_unref(struct listener_socket *socket);
