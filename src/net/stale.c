/*
 * Is it dead? A datagram socket that connects to the path of a stream socket is told EPROTOTYPE if any socket is bound to that
 * file, listening or not yet, and ECONNREFUSED if none is. So there is no moment between bind() and listen() at which a
 * starting server looks dead, and a live one sees no connection. And dead is for ever: bind() always makes a new file.
 *
 * Is it still that one? Nothing in Linux removes a name only if it is a certain file. So
 * - the file is held by an O_PATH descriptor and asked through it, which also keeps its inode number from being used again;
 * - masters that find the same dead file take turns: a lock of its own (an abstract socket, gone with its process) guards
 *   looking once more whether it still has the name, and removing it;
 * - programs that know nothing of the lock may come in between those two. So the name is moved aside first, and what
 *   turns out not to be the dead file is moved back.
 * A master that was later than another finds the address in use.
 */
#include "net/stale.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ASIDE_ATTEMPTS 16

static const char *kind_of_file(mode_t mode)
{
    if (S_ISREG(mode))
        return "a regular file";
    if (S_ISDIR(mode))
        return "a directory";
    if (S_ISLNK(mode))
        return "a symbolic link";
    if (S_ISFIFO(mode))
        return "a FIFO";
    return "a device";
}

/* 0 if no socket is bound to the file behind fd, -EADDRINUSE if one is. */
static int probe(int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (datagram < 0)
        return -errno;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", fd);
    if (connect(datagram, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EPROTOTYPE)
        return -EADDRINUSE;
    return errno == ECONNREFUSED ? 0 : -errno;
}

static int move_aside(const char *path, char **ret_aside)
{
    for (unsigned i = 0; i < ASIDE_ATTEMPTS; i++) {
        CLEANUP_FREE char *aside = string_format("%s.stale-%d-%u", path, (int)getpid(), i);
        if (!aside)
            return -ENOMEM;
        if (renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE) == 0) {
            *ret_aside = TAKE_PTR(aside);
            return 0;
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EADDRINUSE;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The lock is held until *ret_fd is closed. -EADDRINUSE: another master is about to replace the file. */
static int lock(const struct stat *dead, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
                          "reloader/stale/%llx:%llx", (unsigned long long)dead->st_dev,
                          (unsigned long long)dead->st_ino);
    if (bind(fd, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int remove_if_same(const char *path, const struct stat *dead)
{
    CLEANUP_FREE char *aside = NULL;
    struct stat st;

    int r = move_aside(path, &aside);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (lstat(aside, &st) < 0)
        return -errno;
    if (same_file(&st, dead))
        return unlink(aside) < 0 ? -errno : 0;
    if (renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
        return -errno;
    return -EADDRINUSE;
}

int socket_file_remove(const char *path, const struct stat *file)
{
    struct stat now;
    if (lstat(path, &now) < 0)
        return errno == ENOENT ? 0 : -errno;
    return same_file(&now, file) ? remove_if_same(path, file) : -EADDRINUSE;
}

int stale_socket_remove(const char *path, const char **ret_kind)
{
    struct stat dead, now;
    CLEANUP_FD int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), locked = -1;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &dead) < 0)
        return -errno;
    if (!S_ISSOCK(dead.st_mode)) {
        *ret_kind = kind_of_file(dead.st_mode);
        return -EEXIST;
    }
    int r = probe(fd);
    if (r == 0)
        r = lock(&dead, &locked);
    if (r < 0)
        return r;
    if (lstat(path, &now) < 0)
        return errno == ENOENT ? 0 : -errno;
    return same_file(&now, &dead) ? remove_if_same(path, &dead) : 0;
}
