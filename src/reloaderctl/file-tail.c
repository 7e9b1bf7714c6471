#include "reloaderctl/file-tail.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE  ((size_t)64 * 1024)
#define BACKUPS_MAX 1000
/* While backups are renamed, the last one first, a name in the midst of them is missing for a moment. */
#define GAPS_MAX 3

/* Where its last lines begin: found from its end, a block at a time. */
static int find_last_lines(int fd, uint64_t lines, off_t *ret)
{
    CLEANUP_FREE char *block = malloc(BLOCK_SIZE);
    off_t at = lseek(fd, 0, SEEK_END);
    uint64_t ends = 0;
    bool at_end = true;
    if (!block || at < 0)
        return block ? -errno : -ENOMEM;
    while (at > 0) {
        size_t size = MIN((size_t)at, BLOCK_SIZE);
        at -= (off_t)size;
        ssize_t n = pread(fd, block, size, at);
        if (n < 0)
            return -errno;
        for (size_t i = (size_t)n; i > 0; i--) {
            /* The last byte ends the last line, and begins none. */
            if (block[i - 1] == '\n' && !at_end && ++ends == lines) {
                *ret = at + (off_t)i;
                return 0;
            }
            at_end = false;
        }
    }
    *ret = 0;
    return 0;
}

static void pass_lines(struct file_tail *tail)
{
    char *line;
    size_t size;
    int r;
    while ((r = buffer_next_frame(&tail->in, '\n', &line, &size)) != 0)
        if (r > 0)
            tail->ops->line(line, size, tail->userdata);
        else
            tail->ops->note("a line is left out that is longer than 4 MiB", tail->userdata);
}

static int read_on(struct file_tail *tail)
{
    for (;;) {
        char *space;
        size_t size;
        int r = buffer_reserve(&tail->in, &space, &size);
        if (r < 0)
            return r;
        ssize_t n = read(tail->fd, space, MIN(size, BLOCK_SIZE));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buffer_commit(&tail->in, (size_t)n);
        pass_lines(tail);
    }
}

static int open_file(const char *path, struct stat *ret_status)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, ret_status) < 0)
        return -errno;
    return S_ISREG(ret_status->st_mode) ? TAKE_FD(fd) : -ENOTSUP;
}

static void take_file(struct file_tail *tail, int fd, const struct stat *status)
{
    (void)fd_close(tail->fd);
    tail->fd = fd;
    tail->device = status->st_dev;
    tail->inode = status->st_ino;
}

static int open_first(struct file_tail *tail)
{
    struct stat status;
    int fd = open_file(tail->path, &status);
    if (fd < 0)
        return fd;
    take_file(tail, fd, &status);
    return 0;
}

int file_tail_begin(struct file_tail *tail, const char *path, const struct file_tail_ops *ops,
                    void *userdata, uint64_t lines)
{
    off_t start = 0;
    *tail = (struct file_tail){.path = path, .ops = ops, .userdata = userdata, .fd = -1};
    buffer_init(&tail->in, FILE_TAIL_LINE_MAX);
    int r = open_first(tail);
    if (r == 0)
        r = find_last_lines(tail->fd, lines, &start);
    if (r == 0 && lseek(tail->fd, start, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? r : read_on(tail);
}

static bool is_ours(const struct file_tail *tail, const char *path, int *ret_error)
{
    struct stat status;
    *ret_error = stat(path, &status) < 0 ? -errno : 0;
    return *ret_error == 0 && status.st_dev == tail->device && status.st_ino == tail->inode;
}

static char *name_backup(const struct file_tail *tail, unsigned number)
{
    return number == 0 ? strdup(tail->path) : string_format("%s.%u", tail->path, number);
}

/* Which backup is the one that was read last; 0: it is not to be found. */
static unsigned find_backup(const struct file_tail *tail)
{
    unsigned gaps = 0;
    for (unsigned i = 1; i <= BACKUPS_MAX + GAPS_MAX && gaps <= GAPS_MAX; i++) {
        int error;
        CLEANUP_FREE char *path = name_backup(tail, i);
        if (!path)
            return 0;
        if (is_ours(tail, path, &error))
            return i;
        gaps = error < 0 ? gaps + 1 : 0;
    }
    return 0;
}

/* The one that was begun after ours: another backup, or the file itself. Backups move on while we look. */
static int go_to_next(struct file_tail *tail)
{
    struct stat status;
    unsigned backup = find_backup(tail);
    CLEANUP_FREE char *path = name_backup(tail, backup > 0 ? backup - 1 : 0);
    CLEANUP_FD int fd = path ? open_file(path, &status) : -ENOMEM;
    if (find_backup(tail) != backup || (fd == -ENOENT && backup > 1))
        return 0;
    if (fd < 0)
        return fd;
    /* It ends before the next one begins, also within a line. */
    file_tail_finish(tail);
    if (backup == 0)
        tail->ops->note("it was rotated or replaced; some lines may be missing", tail->userdata);
    take_file(tail, TAKE_FD(fd), &status);
    return read_on(tail);
}

static int follow_rotation(struct file_tail *tail)
{
    int r = 0, error;
    for (unsigned i = 0; i < BACKUPS_MAX && r == 0; i++) {
        if (is_ours(tail, tail->path, &error) || error < 0)
            return 0;
        /* What was written to it before it was renamed. */
        r = read_on(tail);
        if (r == 0)
            r = go_to_next(tail);
    }
    return r;
}

static int look_for_truncation(struct file_tail *tail)
{
    struct stat status;
    if (fstat(tail->fd, &status) < 0)
        return -errno;
    if (status.st_size >= lseek(tail->fd, 0, SEEK_CUR))
        return 0;
    file_tail_finish(tail);
    tail->ops->note("it was emptied; some lines may be missing", tail->userdata);
    if (lseek(tail->fd, 0, SEEK_SET) < 0)
        return -errno;
    return read_on(tail);
}

int file_tail_go_on(struct file_tail *tail)
{
    int r = tail->fd >= 0 ? look_for_truncation(tail) : open_first(tail);
    if (r == 0)
        r = read_on(tail);
    if (r == 0)
        r = follow_rotation(tail);
    return r == -ENOENT ? 0 : r;
}

void file_tail_finish(struct file_tail *tail)
{
    if (buffer_size(&tail->in) > 0)
        tail->ops->line(tail->in.data + tail->in.begin, buffer_size(&tail->in), tail->userdata);
    buffer_clear(&tail->in);
}

void file_tail_clear(struct file_tail *tail)
{
    tail->fd = fd_close(tail->fd);
    buffer_clear(&tail->in);
}
