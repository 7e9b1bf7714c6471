#include "client/received.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void keep(struct received *received, struct cmsghdr *header)
{
    size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
        if (received->n < RECEIVED_MAX)
            received->fds[received->n++] = fd;
        else
            (void)fd_close(fd);
    }
}

ssize_t received_read(struct received *received, int fd, void *space, size_t size)
{
    /* Room for credentials too: somebody who holds the channel may have asked for them, and they come first. */
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * RECEIVED_MAX)];
    } control;
    struct iovec vector = {.iov_base = space, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -errno;
    received->read += (uint64_t)n;
    bool first = true;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        if (first)
            received_close(received);
        first = false;
        keep(received, c);
    }
    if (message.msg_flags & MSG_CTRUNC)
        received->cut = true;
    if (!first || received->cut)
        received->end = received->read;
    return n;
}

bool received_is_due(const struct received *received, size_t left)
{
    return (received->n > 0 || received->cut) && received->read - left >= received->end;
}

void received_close(struct received *received)
{
    for (size_t i = 0; i < received->n; i++)
        (void)fd_close(received->fds[i]);
    received->n = 0;
    received->cut = false;
}

static bool is_known(const struct environment *environment, int fd)
{
    struct stat one, other;
    if (fstat(fd, &one) < 0)
        return false;
    for (size_t i = 0; i < environment->n_listeners; i++)
        if (fstat(environment->listeners[i].fd, &other) == 0 && one.st_dev == other.st_dev &&
            one.st_ino == other.st_ino)
            return true;
    return false;
}

/* The next of names that need no escapes, as sockets' names are. False at the end of the list. */
static bool next_name(const char **text, const char **ret_name, size_t *ret_length)
{
    const char *begin = *text + (**text == ',');
    const char *end = *begin == '"' ? strchr(begin + 1, '"') : NULL;
    if (!end)
        return false;
    *ret_name = begin + 1;
    *ret_length = (size_t)(end - begin - 1);
    *text = end + 1;
    return true;
}

static size_t count_names(const char *text)
{
    const char *name;
    size_t length, n = 0;
    while (next_name(&text, &name, &length))
        n++;
    return n;
}

/* Takes as many fds as there are names. What is taken is forgotten here. */
static int take_all(struct received *received, const char *names, size_t n,
                    struct environment *environment)
{
    const char *name;
    size_t length;
    for (size_t i = 0; i < n && next_name(&names, &name, &length); i++) {
        if (is_known(environment, received->fds[i]))
            continue;
        int r = environment_add(environment, received->fds[i], name, length);
        if (r < 0)
            return r;
        received->fds[i] = -1;
    }
    return 0;
}

int received_take(struct received *received, bool due, const char *line,
                  struct environment *environment, size_t *ret_added)
{
    static const char begin[] = "{\"reloader\":\"listeners\",\"names\":[";
    if (strncmp(line, begin, strlen(begin)) != 0)
        return 0;
    const char *names = line + strlen(begin);
    size_t n = count_names(names), before = environment->n_listeners;
    if (due && received->cut)
        return -EMFILE;
    if (n != (due ? received->n : 0))
        return -EBADMSG;
    int r = take_all(received, names, n, environment);
    if (r < 0) {
        environment_cut(environment, before);
        return r;
    }
    *ret_added = environment->n_listeners - before;
    return (int)n;
}
