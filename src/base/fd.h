/*
 * fd.h - file descriptors have one owner, are CLOEXEC from birth, and are closed once.
 *
 * All functions return 0 (or a count) or -errno.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes fd unless it is negative, keeps errno, and returns -1, so that `fd = fd_close(fd)` forgets it. */
int fd_close(int fd);

static inline void fd_closep(int *fd)
{
    (void)fd_close(*fd);
}
#define CLEANUP_FD CLEANUP(fd_closep)

/* Switches O_NONBLOCK of the open file description behind fd (shared by all who hold it). */
int fd_set_nonblocking(int fd, bool on);

/*
 * Reads a regular file of at most `limit` bytes. *ret_data is malloc-ed, NUL-terminated (the NUL is not
 * counted), owned by the caller. Never blocks on a FIFO or a device:
 *   -EISDIR a directory · -ENOTSUP (neither file nor directory) · -EFBIG larger than limit · open's own errors.
 */
int fd_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_size);

/* Closes every fd that came with a received message (struct msghdr's SCM_RIGHTS); returns how many. */
struct msghdr;
unsigned fd_close_received(struct msghdr *message);

/*
 * Reads from a stream socket without waiting, as recv() does. A descriptor that comes along replaces *passed (closed unless it is
 * negative; CLOEXEC, the caller's); there is room for one at a time, the kernel closes any others.
 */
ssize_t fd_receive(int socket, void *space, size_t size, int *passed);
