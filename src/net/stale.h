/* stale.h - Unix socket files that their listeners left behind. Inside net only. */
#pragma once

#include "base/macros.h"

/*
 * Removes the socket file at `path` if no socket is bound to it any more. 0 (also if it went away or was replaced
 * meanwhile: bind again and see), or -errno:
 *   -EADDRINUSE   a socket is bound to it, or another master is just replacing it
 *   -EEXIST       it is no socket: *ret_kind says what ("a directory")
 *   others        it cannot be looked at or removed (-EACCES, -EPERM: it belongs to another user)
 */
int stale_socket_remove(const char *path, const char **ret_kind);
