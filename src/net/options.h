/* options.h - options of one socket, set where the kernel wants them. Inside net only. */
#pragma once

#include "net/listener.h"

/*
 * What has to be there before bind(), which is all that we know. Connections inherit nodelay, keepalive, mark and buffers from
 * their listener. 0, or -errno with *ret_error (malloc-ed; NULL when memory is short), which names the option and the remedy.
 */
int socket_options_set(int fd, const struct address *address,
                       const struct config_socket_options *options, char **ret_error);
