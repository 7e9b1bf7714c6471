#include "base/log-file.h"

#include "base/backups.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0640
/* O_NONBLOCK: a FIFO without a reader must not stop the start. */
#define OPEN_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

static int open_file(const char *path, int flags)
{
    int fd = open(path, OPEN_FLAGS | flags, FILE_MODE);
    return fd < 0 ? -errno : fd;
}

static void take(struct log_file *file, int fd)
{
    (void)fd_close(file->fd);
    file->fd = fd;
    file->grown = 0;
}

int log_file_set(struct log_file *file, const char *path)
{
    CLEANUP_FREE char *copy = NULL;
    int fd = -1;
    if (path) {
        copy = strdup(path);
        if (!copy)
            return -ENOMEM;
        fd = open_file(path, 0);
        if (fd < 0)
            return fd;
    }
    take(file, fd);
    free(file->path);
    file->path = TAKE_PTR(copy);
    return 0;
}

int log_file_reopen(struct log_file *file)
{
    if (!file->path)
        return 0;
    int fd = open_file(file->path, 0);
    if (fd < 0)
        return fd;
    take(file, fd);
    return 0;
}

/* Who has renamed it will tell us to open it anew, and keeps it where it is. */
static bool has_its_name(const struct log_file *file, const struct stat *st)
{
    struct stat named;
    return lstat(file->path, &named) == 0 && named.st_dev == st->st_dev &&
           named.st_ino == st->st_ino;
}

bool log_file_is_full(const struct log_file *file, size_t size)
{
    struct stat st;
    if (file->fd < 0 || file->max_size == 0 || fstat(file->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    return st.st_size > 0 && (uint64_t)st.st_size + size > MAX(file->max_size, file->grown) &&
           has_its_name(file, &st);
}

/* A leftover of one who was killed is in nobody's way; a link is not followed. */
static int open_successor(const char *path)
{
    int fd = open_file(path, O_EXCL);
    if (fd == -EEXIST && unlink(path) == 0)
        fd = open_file(path, O_EXCL);
    return fd;
}

/* The new file is there before the old one gets another name: where there is no descriptor, or no right, nothing has happened. */
static int replace(struct log_file *file)
{
    CLEANUP_FREE char *name = string_format("%s.new", file->path);
    struct stat st;
    if (!name || fstat(file->fd, &st) < 0)
        return name ? -errno : -ENOMEM;
    CLEANUP_FD int fd = open_successor(name);
    if (fd < 0)
        return fd;
    int r = fchmod(fd, st.st_mode & 0777) < 0 ? -errno : backups_shift(file->path, file->backups);
    if (r < 0) {
        (void)unlink(name);
        return r;
    }
    if (rename(name, file->path) < 0)
        return -errno;
    take(file, TAKE_FD(fd));
    return 0;
}

int log_file_rotate(struct log_file *file)
{
    int r = file->backups > 0 ? replace(file) : ftruncate(file->fd, 0) < 0 ? -errno : 0;
    struct stat st;
    file->grown = 0;
    if (r < 0 && fstat(file->fd, &st) == 0)
        file->grown = (uint64_t)st.st_size + file->max_size;
    return r;
}
