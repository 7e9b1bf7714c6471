#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const struct sockaddr *address, socklen_t size, int *ret_fd)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, address, size) < 0 || listen(fd, SOMAXCONN) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int listen_on_path(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    return listen_at((struct sockaddr *)&address, sizeof(address), ret_fd);
}

/* Cuts "host:port" and "[host]:port" in place; a port alone has no host. */
static int split(char *text, char **ret_host, char **ret_port)
{
    char *colon = strrchr(text, ':');
    *ret_host = colon ? text : NULL;
    *ret_port = colon ? colon + 1 : text;
    if (!colon)
        return 0;
    *colon = '\0';
    if (text[0] != '[')
        return strchr(text, ':') ? -EINVAL : 0;
    if (colon == text + 1 || colon[-1] != ']')
        return -EINVAL;
    colon[-1] = '\0';
    *ret_host = text + 1;
    return 0;
}

int listen_on(const char *address, int *ret_fd)
{
    if (strncmp(address, "unix:", 5) == 0)
        return listen_on_path(address + 5, ret_fd);

    char text[128], *host, *port;
    if (strlen(address) >= sizeof(text))
        return -EINVAL;
    int r = split(strcpy(text, address), &host, &port);
    if (r < 0)
        return r;
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
        .ai_family = host ? AF_UNSPEC : AF_INET,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -EINVAL;
    r = listen_at(found->ai_addr, found->ai_addrlen, ret_fd);
    freeaddrinfo(found);
    return r;
}
