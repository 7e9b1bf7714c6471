#include "logger/compress.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK_SIZE ((size_t)128 * 1024)

struct both {
    gzFile file;
    char *chunk;
};

static void both_clear(struct both *both)
{
    if (both->file)
        (void)gzclose(both->file);
    free(both->chunk);
}

static int copy(int fd, const struct both *both)
{
    for (;;) {
        ssize_t n = read(fd, both->chunk, CHUNK_SIZE);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        errno = 0;
        if (n > 0 && gzwrite(both->file, both->chunk, (unsigned)n) != (int)n)
            return errno > 0 ? -errno : -EIO;
    }
}

static int open_both(const char *path, struct both *ret, int *ret_copy)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return -errno;
    CLEANUP_FD int ours = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (ours < 0)
        return -errno;
    ret->chunk = malloc(CHUNK_SIZE);
    ret->file = ret->chunk ? gzdopen(fd, "wb") : NULL;
    if (!ret->file)
        return -ENOMEM;
    fd = -1;
    *ret_copy = TAKE_FD(ours);
    return 0;
}

int compress_file(int fd, const char *path)
{
    CLEANUP(both_clear) struct both both = {0};
    CLEANUP_FD int written = -1;
    struct stat st;
    int r = fstat(fd, &st) < 0 ? -errno : open_both(path, &both, &written);
    if (r == 0)
        r = copy(fd, &both);
    if (r < 0)
        return r;
    errno = 0;
    if (gzclose(TAKE_PTR(both.file)) != Z_OK)
        return errno > 0 ? -errno : -EIO;
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    (void)futimens(written, times);
    return 0;
}
