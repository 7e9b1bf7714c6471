/* options.h - options of one socket, set where the kernel wants them. Inside net only. */
#pragma once

#include "net/listener.h"

/*
 * To be called before bind(), where all of them may be set. Connections of TCP inherit nodelay, keepalive, mark, device,
 * transparent, freebind and the buffers from their listener; a listener that was shut down and listens again has them still.
 *
 * 0, with *ret_warning where the system gives a smaller buffer than was wanted; or -errno with *ret_error, which names the key
 * ("sockets.NAME.options.mark") and the remedy. Both are one line for people (malloc-ed; NULL when memory is short).
 */
int socket_options_set(int fd, const char *name, const struct config_socket_options *options,
                       const struct address *address, char **ret_warning, char **ret_error);

/*
 * The same for a socket that is bound, and has what `before` says: what a listener can change while it listens. freebind, transparent and
 * device are not looked at. A buffer that is not given any more stays as it is.
 */
int socket_options_change(int fd, const char *name, const struct config_socket_options *before,
                          const struct config_socket_options *options, char **ret_warning,
                          char **ret_error);
