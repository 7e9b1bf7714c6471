#include "base/message.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static int serialize(char *const *fields, char **ret, size_t *ret_size)
{
    size_t size = 0, used = 0;
    STRV_FOREACH (field, fields)
        size += strlen(*field) + 1;
    if (size == 0 || size > MESSAGE_SIZE_MAX)
        return -EMSGSIZE;
    char *data = malloc(size);
    if (!data)
        return -ENOMEM;
    STRV_FOREACH (field, fields) {
        size_t length = strlen(*field) + 1;
        memcpy(data + used, *field, length);
        used += length;
    }
    *ret = data;
    *ret_size = size;
    return 0;
}

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

int message_send(int fd, char *const *fields, int pass)
{
    CLEANUP_FREE char *data = NULL;
    size_t size;
    int r = serialize(fields, &data, &size);
    if (r < 0)
        return r;
    union control control = {0};
    struct iovec vector = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (pass >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &pass, sizeof(int));
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int message_parse(const char *data, size_t size, char ***ret_fields)
{
    CLEANUP_STRV char **fields = NULL;
    if (size == 0 || data[size - 1] != '\0')
        return -EBADMSG;
    for (size_t at = 0; at < size; at += strlen(data + at) + 1) {
        if (data[at] == '=' || !strchr(data + at, '='))
            return -EBADMSG;
        if (strv_append(&fields, data + at) < 0)
            return -ENOMEM;
    }
    *ret_fields = TAKE_PTR(fields);
    return 0;
}

static int take_passed(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(header), sizeof(int));
    else
        (void)fd_close_received(message);
    return fd;
}

int message_receive(int fd, char ***ret_fields, int *ret_passed)
{
    CLEANUP_FREE char *data = malloc(MESSAGE_SIZE_MAX);
    if (!data)
        return -ENOMEM;
    union control control;
    struct iovec vector = {.iov_base = data, .iov_len = MESSAGE_SIZE_MAX};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    CLEANUP_FD int passed = take_passed(&message);
    if (n == 0)
        return 0;
    int r = message.msg_flags & MSG_TRUNC ? -EBADMSG
                                          : message_parse(data, (size_t)n, ret_fields);
    if (r < 0)
        return r;
    *ret_passed = TAKE_FD(passed);
    return 1;
}
