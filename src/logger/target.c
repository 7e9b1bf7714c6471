#include "logger/target.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"
#include "base/lines.h"
#include "logger/rotation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
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
    /* Another file's writer may make it in the same moment. */
    if (!directory || (mkdir(directory, DIRECTORY_MODE) < 0 && errno != EEXIST))
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

int target_set_path(struct target *target, const char *path)
{
    target->path = strdup(path);
    return target->path ? rotation_new(path, &target->rotation) : -ENOMEM;
}

void target_take(struct target *target, int fd)
{
    target_close(target);
    target->fd = fd;
    target->regular = false;
    target->torn = false;
}

void target_clear(struct target *target)
{
    target_close(target);
    target->rotation = rotation_unref(target->rotation);
    free(TAKE_PTR(target->path));
}

/* Rotation */

static int rotate(struct target *target)
{
    if (target->settings.backups == 0) {
        if (ftruncate(target->fd, 0) < 0)
            return -errno;
        target->size = 0;
        return 0;
    }
    int r = rotation_shift(target->rotation, target->settings.backups);
    if (r < 0)
        return r;
    if (target->settings.compress)
        rotation_compress(target->rotation);
    target_close(target);
    return open_target(target);
}

/* Writing */

static bool await_reader(int fd, int wait_msec)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return poll(&poll_fd, 1, wait_msec) == 1 && (poll_fd.revents & POLLOUT);
}

/* Into a pipe: as many lines as no other writer can get between, and if a line is longer than that, just this one. */
static size_t next_part(const struct target *target, const char *data, size_t size)
{
    if (target->regular)
        return size;
    return MAX(lines_fitting(data, size, PIPE_BUF), lines_first(data, size));
}

/* A line that was begun is written to its end, as long as there is a reader. */
static int write_part(const struct target *target, const char *data, size_t size, size_t *ret_done)
{
    size_t done = 0;
    int error = 0;
    while (done < size && error == 0) {
        if (!target->regular && !await_reader(target->fd, done > 0 ? -1 : READER_WAIT_MSEC)) {
            error = EAGAIN;
            break;
        }
        ssize_t n = write(target->fd, data + done, size - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || (errno != EINTR && errno != EAGAIN))
            error = n == 0 ? EIO : errno;
    }
    *ret_done = done;
    return error;
}

/* Only where bytes go to the end: elsewhere the next ones would leave a hole. */
static bool take_back(int fd, size_t size)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_APPEND) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size >= size && ftruncate(fd, st.st_size - (off_t)size) == 0;
}

/* A part of a line is taken back, or ended before the next line comes. */
static size_t keep_whole_lines(struct target *target, const char *data, size_t written)
{
    size_t whole = lines_whole(data, written);
    if (whole < written && !take_back(target->fd, written - whole))
        target->torn = true;
    return whole;
}

static int end_torn_line(struct target *target)
{
    size_t done = 0;
    int error = target->torn ? write_part(target, "\n", 1, &done) : 0;
    target->size += done;
    target->torn = error != 0;
    return error;
}

size_t target_append(struct target *target, const char *data, size_t size, int *ret_error)
{
    size_t written = 0;
    int error = end_torn_line(target);
    while (error == 0 && written < size) {
        size_t part = next_part(target, data + written, size - written), done = 0;
        error = write_part(target, data + written, part, &done);
        written += done;
    }
    if (written < size)
        written = keep_whole_lines(target, data, written);
    target->size += written;
    if (error != 0)
        *ret_error = error;
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

/* What goes into one file. False: no more of the job can be written. */
static bool write_to_file(struct target *target, struct job *job, size_t *at)
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
    size_t written = target_append(target, data, part, &error);
    *at += written;
    if (written == part)
        return true;
    job->error = error;
    job->step = "write to";
    return false;
}

void target_write(struct target *target, struct job *job)
{
    size_t at = 0;
    if (job->came == 0 && target->fd < 0 && open_target(target) < 0) {
        job->error = -target->open_error;
        job->step = "open";
    }
    while (at < job->size && write_to_file(target, job, &at))
        ;
    if (at < job->size)
        job_drop_from(job, at);
    else if (job->error == 0 && (job->error = -rotation_take_error(target->rotation)) != 0)
        job->step = "compress a backup of";
}
