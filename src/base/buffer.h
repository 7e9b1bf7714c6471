/*
 * buffer.h - a bounded byte queue between a non-blocking fd and frames that end with a delimiter byte
 * ('\n' on a worker's channel, '\0' on the control socket).
 *
 * It grows as needed up to its limit and never beyond. Memory is given back when it runs empty.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;
    size_t begin, end, allocated;
    size_t limit;   /* most bytes it may hold */
    size_t scanned; /* bytes after begin that hold no delimiter */
    bool skipping;  /* inside a frame that is longer than the limit: dropped up to its delimiter */
};

void buffer_init(struct buffer *buffer, size_t limit);
/* Frees the memory; the buffer may be used again. */
void buffer_clear(struct buffer *buffer);

static inline size_t buffer_size(const struct buffer *buffer)
{
    return buffer->end - buffer->begin;
}

/* Appends all of data or nothing: -ENOBUFS beyond the limit, -ENOMEM. */
int buffer_append(struct buffer *buffer, const void *data, size_t size);

/* Takes at most `size` bytes from the front; returns how many. */
size_t buffer_take(struct buffer *buffer, void *space, size_t size);

/* Room to receive into: at least 1 byte and at most what the limit leaves; -ENOBUFS if full, -ENOMEM. */
int buffer_reserve(struct buffer *buffer, char **ret_space, size_t *ret_size);
/* `size` bytes were put into the room. */
void buffer_commit(struct buffer *buffer, size_t size);

/*
 * The next whole frame, without its delimiter: 1, and *ret_frame is NUL-terminated and valid until the buffer is touched
 * again. 0: none yet. -EMSGSIZE: a frame outgrew the limit; it is dropped up to its delimiter, once per frame said.
 */
int buffer_next_frame(struct buffer *buffer, char delimiter, char **ret_frame, size_t *ret_size);

/* Sends as much as a socket takes (no SIGPIPE): 1 all is out, 0 more later (EAGAIN), or -errno. */
int buffer_send(struct buffer *buffer, int fd);

/* The most fds that the kernel takes with one message (SCM_MAX_FD). */
#define BUFFER_FDS_MAX 253
/*
 * The same for a buffer that is not empty, and 1 to BUFFER_FDS_MAX fds (borrowed) travel with its first byte over a Unix socket.
 * If not a byte could be sent, it is -errno, -EAGAIN too, and the buffer is as it was.
 */
int buffer_send_fds(struct buffer *buffer, int fd, const int *fds, size_t n_fds);
