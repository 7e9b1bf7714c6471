#include "reloaderctl/client.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/runtime-directory.h"
#include "base/strv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define INTERFACE      "io.reloader.Control."
#define REPLY_SIZE_MAX ((size_t)64 << 20)

/* Connecting */

/* A Unix socket whose backlog is full makes connect() wait; SO_SNDTIMEO bounds that. */
static int connect_socket(const struct sockaddr_un *address, socklen_t length)
{
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const struct timeval timeout = {.tv_sec = CLIENT_CONNECT_USEC / USEC_PER_SEC};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, length) < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    return TAKE_FD(fd);
}

static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    (void)strcpy(address.sun_path, path);
    return connect_socket(&address, sizeof(address));
}

static int connect_to(const char *path, bool trusted, struct client *ret)
{
    CLEANUP_FD int fd = open_socket(path);
    if (fd < 0)
        return fd;
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    /* Where nobody named the socket, anybody may have put one: under /tmp for example. */
    if (!trusted && peer.uid != 0 && peer.uid != geteuid())
        return -EKEYREJECTED;
    *ret = (struct client){.fd = TAKE_FD(fd), .pid = peer.pid};
    buffer_init(&ret->in, REPLY_SIZE_MAX);
    return 0;
}

static const char *explain(int r)
{
    switch (-r) {
    case ENOENT:
        return "there is no such socket";
    case ECONNREFUSED:
        return "nobody listens there any more";
    case ETIMEDOUT:
        return "its master does not answer; is it stopped or busy?";
    case EACCES:
        return "permission denied; the master's user, root and control.group may use it";
    case EKEYREJECTED:
        return "left alone: it is served by another user who is not root (name it with -s if you "
               "trust it)";
    default:
        return strerror(-r);
    }
}

static char *describe_failure(const char *found, int r)
{
    /* There is one, for others. */
    if (r == -EACCES)
        return string_format("no master answers us:\n%s"
                             "Try as its user or with sudo, or name another control socket by "
                             "-s SOCKET or in RELOADER_CONTROL.",
                             found);
    return string_format(
        "no master answers:\n%s"
        "Start one with `reloader -c FILE`, or name its control socket by -s SOCKET or in "
        "RELOADER_CONTROL.",
        found);
}

static int search(struct client *ret, char **ret_tried)
{
    CLEANUP_STRV char **directories = NULL;
    CLEANUP_FREE char *tried = strdup("");
    if (!tried || runtime_directory_candidates(&directories) < 0)
        return -ENOMEM;
    int failure = -ENOENT;
    STRV_FOREACH (directory, directories) {
        CLEANUP_FREE char *path = string_format("%s/control.sock", *directory);
        int r = path ? connect_to(path, false, ret) : -ENOMEM;
        if (r == 0)
            return 0;
        if (failure == -ENOENT)
            failure = r;
        char *longer = string_format("%s  %s: %s\n", tried, path ? path : *directory, explain(r));
        free(tried);
        tried = longer;
        if (!tried)
            return -ENOMEM;
    }
    *ret_tried = TAKE_PTR(tried);
    return failure;
}

int client_connect(const char *path, struct client *ret, char **ret_error)
{
    CLEANUP_FREE char *tried = NULL;
    int r = path ? connect_to(path, true, ret) : search(ret, &tried);
    if (r == 0)
        return 0;
    if (path)
        tried = string_format("  %s: %s\n", path, explain(r));
    *ret_error = describe_failure(tried ? tried : "", r);
    return r;
}

void client_close(struct client *client)
{
    client->fd = fd_close(client->fd);
    buffer_clear(&client->in);
}

/* Calls and replies */

/* A master that turns us away has closed already: its word is still there to be read, so EPIPE is not told here. */
static int send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE || errno == ECONNRESET ? 0
                   : errno == EAGAIN                     ? -ETIMEDOUT
                                                         : -errno;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int client_call(struct client *client, const char *method, json_t *parameters, bool more)
{
    json_auto_t *own = parameters ? parameters : json_object();
    CLEANUP_FREE char *name = string_format(INTERFACE "%s", method);
    json_auto_t *message = name ? json_pack("{s:s, s:O}", "method", name, "parameters", own) : NULL;
    if (!message || (more && json_object_set_new(message, "more", json_true()) < 0))
        return -ENOMEM;
    CLEANUP_FREE char *text = json_dumps(message, JSON_COMPACT);
    if (!text)
        return -ENOMEM;
    return send_all(client->fd, text, strlen(text) + 1);
}

static int wait_readable(int fd, uint64_t deadline_usec)
{
    for (;;) {
        int timeout = -1;
        if (deadline_usec != USEC_INFINITY) {
            uint64_t now = clock_monotonic_usec();
            if (now >= deadline_usec)
                return -ETIMEDOUT;
            timeout = (int)MIN((deadline_usec - now) / USEC_PER_MSEC + 1, (uint64_t)3600 * 1000);
        }
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        int r = poll(&poll_fd, 1, timeout);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
}

/* passed_fd is NULL where none is wanted: what comes all the same is closed by the kernel. */
static int read_some(struct client *client, int *passed_fd)
{
    char *space;
    size_t size;
    int r = buffer_reserve(&client->in, &space, &size);
    if (r < 0)
        return r;
    ssize_t n = passed_fd ? fd_receive(client->fd, space, size, passed_fd)
                          : recv(client->fd, space, size, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ECONNRESET;
    buffer_commit(&client->in, (size_t)n);
    return 0;
}

static int parse_reply(const char *frame, size_t size, struct client_reply *ret)
{
    /* Applications may say what they like: a NUL in a string of theirs, too. */
    json_auto_t *message = json_loadb(frame, size, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(message))
        return -EBADMSG;
    json_t *parameters = json_object_get(message, "parameters");
    if (!json_is_object(parameters)) {
        parameters = json_object();
        if (json_object_set_new(message, "parameters", parameters) < 0)
            return -ENOMEM;
    }
    const char *error = json_string_value(json_object_get(message, "error"));
    if (error && string_starts_with(error, INTERFACE))
        error += strlen(INTERFACE);
    bool continues = json_is_true(json_object_get(message, "continues"));
    *ret = (struct client_reply){.message = TAKE_PTR(message),
                                 .parameters = parameters,
                                 .error = error,
                                 .continues = continues};
    return 0;
}

static int receive(struct client *client, uint64_t timeout_usec, struct client_reply *ret,
                   int *passed_fd)
{
    uint64_t deadline = timeout_usec == USEC_INFINITY ? USEC_INFINITY
                                                      : clock_monotonic_usec() + timeout_usec;
    for (;;) {
        char *frame;
        size_t size;
        int r = buffer_next_frame(&client->in, '\0', &frame, &size);
        if (r < 0)
            return -EBADMSG;
        if (r > 0)
            return parse_reply(frame, size, ret);
        r = wait_readable(client->fd, deadline);
        if (r == 0)
            r = read_some(client, passed_fd);
        if (r < 0)
            return r;
    }
}

int client_receive(struct client *client, uint64_t timeout_usec, struct client_reply *ret)
{
    return receive(client, timeout_usec, ret, NULL);
}

int client_receive_fd(struct client *client, uint64_t timeout_usec, struct client_reply *ret,
                      int *fd)
{
    return receive(client, timeout_usec, ret, fd);
}

void client_reply_clear(struct client_reply *reply)
{
    json_decref(reply->message);
    *reply = (struct client_reply){0};
}

int client_probe(const struct client *client)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    if (getpeername(client->fd, (struct sockaddr *)&address, &length) < 0)
        return 0;
    struct client other = {.fd = connect_socket(&address, length)};
    if (other.fd < 0)
        return other.fd == -ETIMEDOUT ? -ETIMEDOUT : 0;
    CLEANUP_REPLY struct client_reply reply = {0};
    buffer_init(&other.in, REPLY_SIZE_MAX);
    int r = client_call(&other, "Version", NULL, false);
    if (r == 0)
        r = client_receive(&other, CLIENT_ANSWER_USEC, &reply);
    client_close(&other);
    return r == -ETIMEDOUT ? r : 0;
}
