#include "master/pid-file.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that was removed and made anew between open and flock is not the one at the path any more. */
static bool is_at_path(const char *path, int fd)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_dev == there.st_dev &&
           mine.st_ino == there.st_ino;
}

static int lock_file(const char *path, int *ret_fd)
{
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        CLEANUP_FD int fd = open(
            path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0644);
        if (fd < 0)
            return -errno;
        struct stat st;
        if (fstat(fd, &st) < 0)
            return -errno;
        if (!S_ISREG(st.st_mode))
            return -ENOTSUP;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK)
                return -errno;
            *ret_fd = TAKE_FD(fd);
            return -EBUSY;
        }
        if (is_at_path(path, fd)) {
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
    return -EAGAIN;
}

static int write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0)
        return -errno;
    ssize_t written = pwrite(fd, text, (size_t)n, 0);
    if (written < 0)
        return -errno;
    return written == n ? 0 : -ENOSPC;
}

static char *busy_text(const char *path, int fd)
{
    char owner[32] = "";
    ssize_t n = pread(fd, owner, sizeof(owner) - 1, 0);
    owner[n > 0 ? strcspn(owner, "\n") : 0] = '\0';
    return string_format("%s: another reloader runs with this pid file (pid %s); stop it, or "
                         "choose another pid_file",
                         path, owner[0] ? owner : "unknown");
}

int pid_file_create(const char *path, int *ret_fd, char **ret_error)
{
    CLEANUP_FD int fd = -1;
    int r = lock_file(path, &fd);
    if (r == 0) {
        r = write_pid(fd);
        if (r < 0)
            fd = pid_file_remove(path, fd);
    }
    if (r == -EBUSY)
        *ret_error = busy_text(path, fd);
    else if (r == -ENOTSUP)
        *ret_error = string_format("%s: is no regular file; choose another pid_file", path);
    else if (r < 0)
        *ret_error = string_format("%s: cannot write the pid file: %s", path, strerror(-r));
    if (r < 0)
        return r;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int pid_file_remove(const char *path, int fd)
{
    /* Who became another user may not be able to: then at least it names nobody. */
    if (fd >= 0 && is_at_path(path, fd) && unlink(path) < 0)
        (void)!ftruncate(fd, 0);
    return fd_close(fd);
}
