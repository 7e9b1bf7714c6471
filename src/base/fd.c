#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int fd_close(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        /* Linux has released the fd even when close() reports EINTR: never try again. */
        (void)close(fd);
        errno = saved;
    }
    return -1;
}

int fd_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)
        return -errno;
    return 0;
}

static int read_up_to(int fd, char *data, size_t limit, size_t *ret_size)
{
    size_t size = 0;
    while (size < limit) {
        ssize_t n = read(fd, data + size, limit - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        size += (size_t)n;
    }
    *ret_size = size;
    return 0;
}

int fd_read_file(const char *path, size_t limit, char **ret_data, size_t *ret_size)
{
    /* O_NONBLOCK: opening a FIFO would otherwise wait for a writer. */
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;

    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -ENOTSUP;
    if (st.st_size > (off_t)limit)
        return -EFBIG;

    /* Some files (of /proc) have no size, others grow while they are read: one byte more than allowed tells. */
    CLEANUP_FREE char *data = malloc(limit + 2);
    if (!data)
        return -ENOMEM;
    size_t size = 0;
    int r = read_up_to(fd, data, limit + 1, &size);
    if (r < 0)
        return r;
    if (size > limit)
        return -EFBIG;
    data[size] = '\0';
    char *shrunk = realloc(data, size + 1);
    if (shrunk)
        data = shrunk;
    *ret_data = TAKE_PTR(data);
    *ret_size = size;
    return 0;
}

unsigned fd_close_received(struct msghdr *message)
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            (void)fd_close(fd);
            count++;
        }
    }
    return count;
}

ssize_t fd_receive(int socket, void *space, size_t size, int *passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec vector = {.iov_base = space, .iov_len = size};
    /* CMSG_SPACE() would have room for a second one in its padding. */
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int))) {
        (void)fd_close(*passed);
        memcpy(passed, CMSG_DATA(header), sizeof(int));
    }
    return n;
}
