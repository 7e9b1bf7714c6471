#include "control/peer.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

int peer_get(int fd, struct ucred *ret)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *ret = peer;
    return 0;
}

int peer_is_in_group(int fd, const struct ucred *peer, gid_t group)
{
    if (peer->gid == group)
        return 1;
    /* The list can't change: it was copied when the peer connected. Asked without room, the kernel tells its size. */
    socklen_t size = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0)
        return 0;
    if (errno != ERANGE)
        return -errno;
    CLEANUP_FREE char *room = malloc(size);
    if (!room)
        return -ENOMEM;
    gid_t *groups = (gid_t *)(void *)room;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return -errno;
    for (size_t i = 0; i < size / sizeof(gid_t); i++)
        if (groups[i] == group)
            return 1;
    return 0;
}

int peer_of_listener(const char *path, pid_t *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    (void)strcpy(address.sun_path, path);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    struct ucred peer;
    int r = peer_get(fd, &peer);
    if (r == 0)
        *ret = peer.pid;
    return r;
}
