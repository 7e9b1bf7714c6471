/* stale.h - Unix socket files that their listeners left behind. Inside net only. */
#pragma once

#include "base/macros.h"

#include <sys/stat.h>

/*
 * Removes the socket file at `path` if no socket is bound to it any more. 0 (also if it went away or was replaced
 * meanwhile: bind again and see), or -errno:
 *   -EADDRINUSE   a socket is bound to it, or another master is just replacing it
 *   -EEXIST       it is no socket: *ret_kind says what ("a directory")
 *   others        it cannot be looked at or removed (-EACCES, -EPERM: it belongs to another user)
 */
int stale_socket_remove(const char *path, const char **ret_kind);

/*
 * Removes `path` if it is that file (st_dev, st_ino); what somebody else put there stays, even if he does so at this moment. The
 * caller's open socket keeps the inode number from being used again. 0 (also if there is none), -EADDRINUSE if it is another
 * file, or -errno.
 */
int socket_file_remove(const char *path, const struct stat *file);
