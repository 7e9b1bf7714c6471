#include "base/buffer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_CHUNK 4096

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_clear(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer, buffer->limit);
}

static void drop_front(struct buffer *buffer, size_t size)
{
    buffer->begin += size;
    buffer->scanned = 0;
    if (buffer->begin == buffer->end)
        buffer->begin = buffer->end = 0;
}

static void give_memory_back(struct buffer *buffer)
{
    free(buffer->data);
    buffer->data = NULL;
    buffer->allocated = 0;
}

/* Makes room for `wanted` bytes behind the end; the caller has checked the limit. */
static int make_room(struct buffer *buffer, size_t wanted)
{
    if (buffer->allocated - buffer->end >= wanted)
        return 0;
    if (buffer->begin > 0) {
        memmove(buffer->data, buffer->data + buffer->begin, buffer_size(buffer));
        buffer->end -= buffer->begin;
        buffer->begin = 0;
    }
    if (buffer->allocated - buffer->end >= wanted)
        return 0;
    size_t needed = buffer->end + MAX(wanted, (size_t)BUFFER_CHUNK);
    size_t allocated = MIN(MAX(buffer->allocated * 2, needed), buffer->limit);
    char *data = realloc(buffer->data, allocated);
    if (!data)
        return -ENOMEM;
    buffer->data = data;
    buffer->allocated = allocated;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size > buffer->limit - buffer_size(buffer))
        return -ENOBUFS;
    if (size == 0)
        return 0;
    int r = make_room(buffer, size);
    if (r < 0)
        return r;
    memcpy(buffer->data + buffer->end, data, size);
    buffer->end += size;
    return 0;
}

size_t buffer_take(struct buffer *buffer, void *space, size_t size)
{
    size_t n = MIN(size, buffer_size(buffer));
    if (n == 0)
        return 0;
    memcpy(space, buffer->data + buffer->begin, n);
    drop_front(buffer, n);
    if (buffer_size(buffer) == 0)
        give_memory_back(buffer);
    return n;
}

int buffer_reserve(struct buffer *buffer, char **ret_space, size_t *ret_size)
{
    size_t left = buffer->limit - buffer_size(buffer);
    if (left == 0)
        return -ENOBUFS;
    size_t wanted = MIN(left, (size_t)BUFFER_CHUNK);
    int r = make_room(buffer, wanted);
    if (r < 0)
        return r;
    *ret_space = buffer->data + buffer->end;
    *ret_size = wanted;
    return 0;
}

void buffer_commit(struct buffer *buffer, size_t size)
{
    buffer->end += size;
}

int buffer_next_frame(struct buffer *buffer, char delimiter, char **ret_frame, size_t *ret_size)
{
    if (buffer_size(buffer) == 0) {
        give_memory_back(buffer);
        return 0;
    }
    char *front = buffer->data + buffer->begin;
    char *found = memchr(front + buffer->scanned, delimiter, buffer_size(buffer) - buffer->scanned);
    if (!found) {
        buffer->scanned = buffer_size(buffer);
        bool tell = false;
        if (buffer->skipping || buffer_size(buffer) >= buffer->limit) {
            tell = !buffer->skipping;
            buffer->skipping = true;
            drop_front(buffer, buffer_size(buffer));
        }
        return tell ? -EMSGSIZE : 0;
    }
    size_t size = (size_t)(found - front);
    *found = '\0';
    drop_front(buffer, size + 1);
    if (buffer->skipping) {
        buffer->skipping = false;
        return buffer_next_frame(buffer, delimiter, ret_frame, ret_size);
    }
    *ret_frame = front;
    *ret_size = size;
    return 1;
}

int buffer_send(struct buffer *buffer, int fd)
{
    while (buffer_size(buffer) > 0) {
        ssize_t n = send(fd, buffer->data + buffer->begin, buffer_size(buffer),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        drop_front(buffer, (size_t)n);
    }
    give_memory_back(buffer);
    return 1;
}

int buffer_send_fds(struct buffer *buffer, int fd, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * BUFFER_FDS_MAX)];
    } control = {0};
    struct iovec vector = {.iov_base = buffer->data + buffer->begin,
                           .iov_len = buffer_size(buffer)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds)};
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS,
                                      .cmsg_len = CMSG_LEN(sizeof(int) * n_fds)};
    memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
    ssize_t n;
    do
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    drop_front(buffer, (size_t)n);
    return buffer_send(buffer, fd);
}
