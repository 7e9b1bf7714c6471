#include "logger/target.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"
#include "logger/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE      0640
#define DIRECTORY_MODE 0750
#define REOPEN_USEC    (1 * USEC_PER_SEC) /* between two tries to open it */
/* How long a FIFO's reader may keep one job waiting; the streams wait no longer than they want in any case. */
#define READER_WAIT_MSEC 1000

/* Opening */

/* O_NONBLOCK: a FIFO without a reader. */
static int open_once(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                  FILE_MODE);
    return fd < 0 ? -errno : fd;
}

/* Its directory is made where it is missing, but not those above it: a slip of the pen makes no tree. */
static int open_path(const char *path)
{
    int fd = open_once(path);
    const char *slash = strrchr(path, '/');
    if (fd != -ENOENT || !slash || slash == path)
        return fd;
    CLEANUP_FREE char *directory = strndup(path, (size_t)(slash - path));
    if (!directory || mkdir(directory, DIRECTORY_MODE) < 0)
        return fd;
    return open_once(path);
}

static bool ends_with_newline(const char *path, off_t size)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char last = '\n';
    return size == 0 || fd < 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n';
}

static void complete_last_line(struct target *target)
{
    const char *mark = target->marks_cut ? TARGET_MARK : "\n";
    ssize_t n = ends_with_newline(target->path, (off_t)target->size)
                    ? 0
                    : write(target->fd, mark, strlen(mark));
    if (n > 0)
        target->size += (uint64_t)n;
}

static int open_target(struct target *target)
{
    uint64_t now = clock_monotonic_usec();
    struct stat st;
    if (target->open_error != 0 && now < target->retry_usec)
        return target->open_error;
    CLEANUP_FD int fd = open_path(target->path);
    int r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;
    target->open_error = r;
    target->retry_usec = now + REOPEN_USEC;
    if (r < 0)
        return r;
    target->fd = TAKE_FD(fd);
    target->regular = S_ISREG(st.st_mode);
    target->size = (uint64_t)st.st_size;
    target->torn = false;
    target->grown = 0;
    if (target->regular)
        complete_last_line(target);
    return 0;
}

void target_close(struct target *target)
{
    target->fd = fd_close(target->fd);
    target->open_error = 0;
}

void target_clear(struct target *target)
{
    target_close(target);
    free(TAKE_PTR(target->path));
}

/* Rotation */

static int rename_numbered(const struct target *target, unsigned from, unsigned to)
{
    CLEANUP_FREE char *old = from == 0 ? strdup(target->path)
                                       : string_format("%s.%u", target->path, from);
    CLEANUP_FREE char *new = string_format("%s.%u", target->path, to);
    if (!old || !new)
        return -ENOMEM;
    return rename(old, new) < 0 && (from == 0 || errno != ENOENT) ? -errno : 0;
}

static int shift_backups(const struct target *target)
{
    int r = 0;
    for (unsigned i = target->settings.backups; r == 0 && i-- > 0;)
        r = rename_numbered(target, i, i + 1);
    return r;
}

static int rotate(struct target *target)
{
    if (target->settings.backups == 0) {
        if (ftruncate(target->fd, 0) < 0)
            return -errno;
        target->size = 0;
        return 0;
    }
    int r = shift_backups(target);
    if (r < 0)
        return r;
    target_close(target);
    return open_target(target);
}

/* Writing */

static bool await_reader(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return poll(&poll_fd, 1, READER_WAIT_MSEC) == 1 && (poll_fd.revents & POLLOUT);
}

/* How much was written; *ret_error says why it is not all. */
static size_t append(struct target *target, const char *data, size_t size, int *ret_error)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = write(target->fd, data + done, size - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN && await_reader(target->fd))
            continue;
        else if (n == 0 || errno != EINTR) {
            *ret_error = n == 0 ? EIO : errno;
            break;
        }
    }
    return done;
}

/* The line that has found room in part is taken back. Else the next line would continue it. */
static size_t keep_whole_lines(struct target *target, const char *data, size_t written)
{
    size_t whole = lines_whole(data, written);
    if (whole < written && target->regular &&
        ftruncate(target->fd, (off_t)(target->size + whole)) < 0)
        target->torn = true;
    else if (whole < written && !target->regular)
        target->torn = true;
    return whole;
}

static size_t write_lines(struct target *target, const char *data, size_t size, int *ret_error)
{
    if (target->torn) {
        if (append(target, "\n", 1, ret_error) == 0)
            return 0;
        target->size++;
        target->torn = false;
    }
    size_t written = append(target, data, size, ret_error);
    if (written < size)
        written = keep_whole_lines(target, data, written);
    target->size += written;
    return written;
}

static bool is_full(const struct target *target, size_t first_line)
{
    return target->regular && target->size > 0 &&
           target->size + first_line > MAX(target->settings.max_size, target->grown);
}

/* Rotation that fails is no reason to lose lines: the file grows, by a file's size until the next try. */
static void rotate_or_grow(struct target *target, struct job *job)
{
    int r = rotate(target);
    if (r == 0)
        return;
    job->error = -r;
    job->step = "rotate";
    target->grown = target->size + target->settings.max_size;
}

static size_t room_of(const struct target *target)
{
    uint64_t limit = MAX(target->settings.max_size, target->grown);
    return !target->regular            ? SIZE_MAX
           : limit > target->size ? (size_t)(limit - target->size)
                                       : 0;
}

/* A part of the job that goes into one file. False: no more of it can be written. */
static bool write_part(struct target *target, struct job *job, size_t *at)
{
    const char *data = job->data + *at;
    size_t left = job->size - *at, first = lines_first(data, left);
    if ((target->fd >= 0 || open_target(target) == 0) && is_full(target, first))
        rotate_or_grow(target, job);
    if (target->fd < 0) {
        job->error = -target->open_error;
        job->step = "open";
        return false;
    }
    size_t part = MAX(lines_fitting(data, left, room_of(target)), first);
    int error = 0;
    size_t written = write_lines(target, data, part, &error);
    *at += written;
    if (written == part)
        return true;
    job->error = error;
    job->step = "write";
    return false;
}

void target_write(struct target *target, struct job *job)
{
    size_t at = 0;
    job->error = 0;
    job->step = NULL;
    while (at < job->size && write_part(target, job, &at))
        ;
    job->n_dropped = job->size - at;
    job->dropped_lines = lines_count(job->data + at, job->n_dropped);
    if (job->counters)
        job->counters->written += job->n_dropped < job->came ? job->came - job->n_dropped : 0;
}
