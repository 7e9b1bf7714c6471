#include "net/passed.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static int get_option(int fd, int level, int option, int *ret)
{
    socklen_t size = sizeof(*ret);
    return getsockopt(fd, level, option, ret, &size) < 0 ? -errno : 0;
}

static int refuse(char **ret_reason, const char *reason)
{
    *ret_reason = strdup(reason);
    return -EINVAL;
}

/* What is wrong with a socket, as the rest of a sentence; NULL: nothing. */
static const char *judge_socket(int fd, const struct passed_socket *socket)
{
    int listens = 0;
    switch (socket->type) {
    case SOCK_STREAM:
        (void)get_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
        return listens ? NULL
                       : "is a connection or does not listen (a .socket unit needs Accept=no)";
    case SOCK_DGRAM:
        if (socket->address.socket.generic.sa_family == AF_UNIX)
            return "is a Unix datagram socket: of datagrams, only UDP is known here";
        return socket->address.socket.in.sin_port != 0 ? NULL : "is a UDP socket that is not bound";
    }
    return "is neither a stream nor a datagram socket";
}

static int inspect(int fd, struct passed_socket *ret, char **ret_reason)
{
    struct stat st;
    struct passed_socket socket = {.number = fd, .fd = fd};
    int ipv6_only = 1;
    if (fstat(fd, &st) < 0)
        return refuse(ret_reason, "is not open: whoever starts reloader has to pass it");
    if (!S_ISSOCK(st.st_mode))
        return refuse(ret_reason, "is no socket");
    int r = address_of_socket(fd, &socket.address);
    if (r == -EAFNOSUPPORT)
        return refuse(ret_reason, "is neither an internet nor a Unix socket");
    if (r == -ENAMETOOLONG)
        return refuse(ret_reason, "is a Unix socket with a path of 108 bytes, 107 are possible");
    if (r == 0)
        r = get_option(fd, SOL_SOCKET, SO_TYPE, &socket.type);
    if (r < 0)
        return r;
    const char *wrong = judge_socket(fd, &socket);
    if (wrong)
        return refuse(ret_reason, wrong);
    if (socket.address.socket.generic.sa_family == AF_INET6)
        (void)get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only);
    socket.dual_stack = !ipv6_only;
    *ret = socket;
    return 0;
}

static int append(struct passed_sockets *passed, int fd, const char *name, char **ret_reason)
{
    struct passed_socket *larger = reallocarray(passed->list, passed->n + 1, sizeof(*larger));
    struct passed_socket socket;
    CLEANUP_FREE char *copy = NULL;
    if (!larger)
        return -ENOMEM;
    passed->list = larger;
    int r = inspect(fd, &socket, ret_reason);
    if (r < 0)
        return r;
    if (name) {
        copy = strdup(name);
        if (!copy)
            return -ENOMEM;
    }
    socket.name = TAKE_PTR(copy);
    larger[passed->n++] = socket;
    return 0;
}

static int append_all(struct passed_sockets *passed, int n, char *const *names, char **ret_error)
{
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *reason = NULL;
        int fd = SD_LISTEN_FDS_START + i;
        int r = append(passed, fd, names[i], &reason);
        if (r == -EINVAL)
            *ret_error = string_format("systemd passed descriptor %d ('%s'), but it %s", fd,
                                       names[i], reason);
        if (r < 0)
            return r;
    }
    return 0;
}

int passed_from_systemd(struct passed_sockets *ret, char **ret_error)
{
    CLEANUP_STRV char **names = NULL;
    CLEANUP(passed_clear) struct passed_sockets passed = {0};
    int n = sd_listen_fds_with_names(false, &names);
    if (n < 0) {
        *ret_error = string_format(
            "LISTEN_FDS or LISTEN_FDNAMES do not tell what descriptors were passed: %s",
            strerror(-n));
        return n;
    }
    int r = append_all(&passed, n, names, ret_error);
    if (r < 0)
        return r;
    *ret = passed;
    passed = (struct passed_sockets){0};
    return 0;
}

/* Standard input would be lost to the next who redirects it, and is nothing that should listen. */
static int move_from_standard(struct passed_socket *socket)
{
    CLEANUP_FD int moved = fcntl(socket->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (moved < 0 || null_fd < 0 || dup2(null_fd, socket->fd) < 0)
        return -errno;
    socket->fd = TAKE_FD(moved);
    return 0;
}

int passed_add(struct passed_sockets *passed, int number, char **ret_reason)
{
    CLEANUP_FREE char *reason = NULL;
    for (size_t i = 0; i < passed->n; i++)
        if (passed->list[i].number == number)
            return 0;
    int r = append(passed, number, NULL, &reason);
    if (r == -EINVAL)
        *ret_reason = string_format("descriptor %d %s", number, reason);
    if (r == 0 && number <= STDERR_FILENO)
        r = move_from_standard(&passed->list[passed->n - 1]);
    return r;
}

void passed_clear(struct passed_sockets *passed)
{
    for (size_t i = 0; i < passed->n; i++) {
        (void)fd_close(passed->list[i].fd);
        free(passed->list[i].name);
    }
    free(passed->list);
    *passed = (struct passed_sockets){0};
}

/* Matching */

static bool has_number(const struct passed_wish *wish, const struct passed_socket *socket)
{
    return wish->number == socket->number;
}

static bool has_address(const struct passed_wish *wish, const struct passed_socket *socket)
{
    return wish->number < 0 && address_equal(&wish->address, &socket->address);
}

static bool has_name(const struct passed_wish *wish, const struct passed_socket *socket)
{
    return wish->number < 0 && !wish->address_only && string_equal(wish->name, socket->name);
}

static bool has_both(const struct passed_wish *wish, const struct passed_socket *socket)
{
    return has_name(wish, socket) && has_address(wish, socket);
}

static bool has_wider_address(const struct passed_wish *wish, const struct passed_socket *socket)
{
    const struct address *wished = &wish->address, *offered = &socket->address;
    return wish->number < 0 && socket->dual_stack && wished->socket.generic.sa_family == AF_INET &&
           wished->socket.in.sin_addr.s_addr == htonl(INADDR_ANY) &&
           IN6_IS_ADDR_UNSPECIFIED(&offered->socket.in6.sin6_addr) &&
           wished->socket.in.sin_port == offered->socket.in6.sin6_port;
}

static size_t count_name(const struct passed_sockets *passed, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < passed->n; i++)
        n += string_equal(passed->list[i].name, name);
    return n;
}

/* Gives each wish that is still open the first free socket that fits. */
static void
match_by(bool (*fits)(const struct passed_wish *wish, const struct passed_socket *socket),
         bool only_name, struct passed_wish *wishes, size_t n_wishes, struct passed_sockets *passed)
{
    for (size_t i = 0; i < n_wishes; i++)
        for (size_t j = 0; !wishes[i].taken && j < passed->n; j++) {
            struct passed_socket *socket = &passed->list[j];
            bool same_type = wishes[i].number >= 0 || wishes[i].type == socket->type;
            if (socket->claimed || !same_type || !fits(&wishes[i], socket) ||
                (only_name && count_name(passed, socket->name) != 1))
                continue;
            socket->claimed = true;
            wishes[i].taken = socket;
            wishes[i].elsewhere = only_name && !has_wider_address(&wishes[i], socket);
        }
}

void passed_match(struct passed_wish *wishes, size_t n_wishes, struct passed_sockets *passed)
{
    match_by(has_number, false, wishes, n_wishes, passed);
    match_by(has_both, false, wishes, n_wishes, passed);
    match_by(has_name, true, wishes, n_wishes, passed);
    match_by(has_address, false, wishes, n_wishes, passed);
    match_by(has_wider_address, false, wishes, n_wishes, passed);
}

char *passed_describe_unclaimed(const struct passed_sockets *passed)
{
    const struct passed_socket *first = NULL;
    CLEANUP_FREE char *list = NULL, *first_text = NULL;
    for (size_t i = 0; i < passed->n; i++) {
        const struct passed_socket *socket = &passed->list[i];
        if (socket->claimed)
            continue;
        first = first ? first : socket;
        CLEANUP_FREE char *text = address_to_text(&socket->address), *before = list;
        list = string_format("%s%s'%s' (descriptor %d, %s)", before ? before : "",
                             before ? ", " : "", socket->name, socket->number, text ? text : "?");
    }
    if (!first)
        return NULL;
    first_text = address_to_text(&first->address);
    return string_format(
        "systemd passed sockets that no entry of the configuration claims: %s; add them, as in "
        "sockets: {%s: {listen: \"%s\"}}, or remove their ListenStream= or ListenDatagram= lines",
        list ? list : "?", first->name, first_text ? first_text : "?");
}
