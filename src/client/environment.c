/*
 * environment.c - two conventions for listeners are set together by the master. systemd's is preferred, as it has
 * names and says by LISTEN_PID whom it means; behind a wrapper that forks, only Server::Starter's is left.
 */
#include "client/environment.h"

#include "base/fd.h"
#include "base/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_FDS_START 3

static const char *const variables[] = {
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "SERVER_STARTER_PORT",
    "SERVER_STARTER_GENERATION",
    "RELOADER_SLOT",
    "RELOADER_PROGRAM",
    "RELOADER_GENERATION",
    "RELOADER_CHANNEL_FD",
    "RELOADER_LISTENERS",
    "RELOADER_DISCONNECT_SPREAD",
    "NOTIFY_SOCKET",
    "NODE_CHANNEL_FD",
    "NODE_CHANNEL_SERIALIZATION_MODE",
};

void environment_unset(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        (void)unsetenv(variables[i]);
}

static int set_cloexec(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

int environment_add(struct environment *environment, int fd, const char *name, size_t length)
{
    if (environment->n_listeners >= LISTENERS_MAX)
        return -E2BIG;
    int r = set_cloexec(fd);
    if (r < 0)
        return r;
    struct listener *larger = realloc(environment->listeners,
                                      (environment->n_listeners + 1) * sizeof(struct listener));
    if (!larger)
        return -ENOMEM;
    environment->listeners = larger;
    char *copy = strndup(name, length);
    if (!copy)
        return -ENOMEM;
    larger[environment->n_listeners++] = (struct listener){.fd = fd, .name = copy};
    return 0;
}

void environment_cut(struct environment *environment, size_t n)
{
    while (environment->n_listeners > n) {
        struct listener *last = &environment->listeners[--environment->n_listeners];
        (void)fd_close(last->fd);
        free(last->name);
    }
}

static int read_number(const char *name, uint64_t max, uint64_t *ret)
{
    const char *text = getenv(name);
    if (!text)
        return 0;
    int r = parse_unsigned(text, 0, max, ret);
    return r < 0 ? r : 1;
}

/* As sd_listen_fds_with_names() has it: no names at all are fine, a wrong number of them is not. */
static int add_named(struct environment *environment, uint64_t count, const char *names)
{
    for (uint64_t i = 0; i < count; i++) {
        const char *name = names ? names : "unknown";
        size_t length = strcspn(name, ":");
        bool last = name[length] == '\0';
        if (names && last != (i + 1 == count))
            return -EINVAL;
        int r = environment_add(environment, LISTEN_FDS_START + (int)i, name, length);
        if (r < 0)
            return r;
        if (names)
            names += length + 1;
    }
    return 0;
}

/* 1: the variables are meant for this process; 0: they are not, or there are none. */
static int read_systemd(struct environment *environment)
{
    uint64_t count = 0, pid = 0;
    int r = read_number("LISTEN_PID", INT_MAX, &pid);
    if (r < 0)
        return -EINVAL;
    if (r == 0 || pid != (uint64_t)getpid())
        return 0;
    r = read_number("LISTEN_FDS", LISTENERS_MAX, &count);
    if (r <= 0)
        return r == -ERANGE ? -E2BIG : r;
    r = add_named(environment, count, getenv("LISTEN_FDNAMES"));
    return r < 0 ? r : 1;
}

/* "key=fd;key=fd": a key may be a path with any character but the semicolon. */
static int read_server_starter(struct environment *environment)
{
    const char *text = getenv("SERVER_STARTER_PORT");
    CLEANUP_FREE char *copy = strdup(text ? text : "");
    if (!copy)
        return -ENOMEM;
    char *rest = NULL;
    for (char *entry = strtok_r(copy, ";", &rest); entry; entry = strtok_r(NULL, ";", &rest)) {
        char *separator = strrchr(entry, '=');
        uint64_t fd;
        if (!separator || parse_unsigned(separator + 1, 0, INT_MAX, &fd) < 0)
            return -EINVAL;
        int r = environment_add(environment, (int)fd, entry, (size_t)(separator - entry));
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_unix_stream(int fd)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

static int read_channel(struct environment *environment)
{
    uint64_t fd;
    int r = read_number("RELOADER_CHANNEL_FD", INT_MAX, &fd);
    if (r < 0)
        return -EINVAL;
    /* A descendant inherits the variable, but not the fd. */
    if (r == 0 || !is_unix_stream((int)fd))
        return 0;
    environment->channel_fd = (int)fd;
    uint64_t awaited = 0;
    if (read_number("RELOADER_LISTENERS", LISTENERS_MAX, &awaited) < 0)
        return -EINVAL;
    environment->awaited = (size_t)awaited;
    return set_cloexec((int)fd);
}

static int read_long(const char *name, long *ret)
{
    uint64_t value;
    int r = read_number(name, LONG_MAX, &value);
    if (r < 0)
        return -EINVAL;
    *ret = r > 0 ? (long)value : -1;
    return 0;
}

static int read_text(const char *name, char **ret)
{
    const char *text = getenv(name);
    if (!text)
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

int environment_read(struct environment *environment)
{
    environment->channel_fd = -1;
    environment->spread = getenv("RELOADER_DISCONNECT_SPREAD") != NULL;
    int r = read_systemd(environment);
    if (r == 0)
        r = read_server_starter(environment);
    if (r >= 0)
        r = read_channel(environment);
    if (r >= 0)
        r = read_long("RELOADER_SLOT", &environment->slot);
    if (r >= 0)
        r = read_long("RELOADER_GENERATION", &environment->generation);
    if (r >= 0)
        r = read_text("RELOADER_PROGRAM", &environment->program);
    if (r >= 0)
        r = read_text("NOTIFY_SOCKET", &environment->notify_socket);
    return r < 0 ? r : 0;
}
