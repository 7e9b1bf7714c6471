#include "base/log.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/journal.h"
#include "base/log-file.h"
#include "base/log-record.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    enum log_level level;
    enum log_format format;
    struct log_file file; /* none: stderr */
    bool unrotated;       /* rotation has failed, and that was said */
    void (*rotated)(void *userdata);
    void *rotated_userdata;
    int stderr_fd;
    int journal; /* -1: none */
    char *journal_path, *identifier;
    unsigned long lost;
} target = {
    .level = LOG_LEVEL_INFO, .file = LOG_FILE_NONE, .stderr_fd = STDERR_FILENO, .journal = -1};

void log_set_level(enum log_level level)
{
    target.level = level;
}

enum log_level log_get_level(void)
{
    return target.level;
}

void log_set_format(enum log_format format)
{
    target.format = format;
}

enum log_format log_get_format(void)
{
    return target.format;
}

int log_set_journal(const char *socket_path, const char *identifier)
{
    CLEANUP_FREE char *path = strdup(socket_path), *name = strdup(identifier);
    CLEANUP_FD int fd = path && name ? journal_open() : -ENOMEM;
    if (fd < 0)
        return fd;
    (void)fd_close(target.journal);
    free(target.journal_path);
    free(target.identifier);
    target.journal = TAKE_FD(fd);
    target.journal_path = TAKE_PTR(path);
    target.identifier = TAKE_PTR(name);
    return 0;
}

const char *log_get_identifier(void)
{
    return target.identifier;
}

int log_get_fd(void)
{
    return target.file.fd >= 0 ? target.file.fd : target.stderr_fd;
}

int log_get_lasting_fd(void)
{
    return target.file.fd >= 0 ? target.file.fd : STDERR_FILENO;
}

void log_set_stderr(int fd)
{
    target.stderr_fd = fd;
}

int log_set_file(const char *path)
{
    return log_file_set(&target.file, path);
}

void log_set_rotation(uint64_t max_size, unsigned backups)
{
    target.file.max_size = max_size;
    target.file.backups = backups;
}

void log_on_rotated(void (*rotated)(void *userdata), void *userdata)
{
    target.rotated = rotated;
    target.rotated_userdata = userdata;
}

uint64_t log_get_max_size(void)
{
    return target.file.fd >= 0 ? target.file.max_size : 0;
}

int log_try_file(const char *path)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0 || errno != ENOENT)
        return fd < 0 ? -errno : 0;
    const char *slash = strrchr(path, '/');
    CLEANUP_FREE char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!directory)
        return -ENOMEM;
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int log_reopen(void)
{
    return log_file_reopen(&target.file);
}

static bool takes_a_line(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT);
}

/*
 * Workers write into the same pipe or socket: what had room a moment ago may have none now, and write() would wait for its
 * reader. O_NONBLOCK is no way out, it would be theirs as well.
 */
static ssize_t write_now(int fd, const char *line, size_t size)
{
    struct iovec vector = {.iov_base = (char *)line, .iov_len = size};
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    if (S_ISSOCK(st.st_mode))
        return send(fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    ssize_t n = -1;
    errno = EOPNOTSUPP;
    if (S_ISFIFO(st.st_mode))
        n = pwritev2(fd, &vector, 1, -1, RWF_NOWAIT);
    /* Other files, and kernels that do not know it for pipes (before 6.4). */
    return n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS) ? write(fd, line, size) : n;
}

/* On a full disk the beginning of a line may have found room: the next line must not continue it. */
static void take_back(int fd, ssize_t size)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= size)
        (void)!ftruncate(fd, st.st_size - size);
}

static bool put_line(int fd, const char *line, size_t size)
{
    if (!takes_a_line(fd))
        return false;
    ssize_t n = write_now(fd, line, size);
    if (n > 0 && n < (ssize_t)size && fd == target.file.fd)
        take_back(fd, n);
    return n == (ssize_t)size;
}

static bool put_on(int fd, const struct log_record *record)
{
    char line[PIPE_BUF];
    return put_line(fd, line, log_record_put(line, sizeof(line), target.format, record));
}

static void say_that_it_grows(int error)
{
    char text[PIPE_BUF];
    (void)snprintf(text, sizeof(text), "cannot rotate %s: %s; it grows", target.file.path,
                   strerror(error));
    target.unrotated = put_on(target.file.fd,
                              &(struct log_record){.level = LOG_LEVEL_WARNING, .text = text});
}

static void make_room_in_file(size_t size)
{
    if (!log_file_is_full(&target.file, size))
        return;
    int r = log_file_rotate(&target.file);
    if (r < 0 && !target.unrotated)
        say_that_it_grows(-r);
    if (r < 0)
        return;
    target.unrotated = false;
    if (target.rotated)
        target.rotated(target.rotated_userdata);
}

void log_rotate(void)
{
    make_room_in_file(1);
}

static bool put_in_file(const struct log_record *record)
{
    char line[PIPE_BUF];
    size_t size = log_record_put(line, sizeof(line), target.format, record);
    make_room_in_file(size);
    return put_line(target.file.fd, line, size);
}

static int send_to_journal(const struct log_record *record, const char *message)
{
    char bytes[2 * PIPE_BUF];
    size_t size = log_record_put_fields(bytes, sizeof(bytes), target.identifier, record, message);
    if (size == 0)
        return -EMSGSIZE;
    return journal_send(target.journal, target.journal_path, bytes, size);
}

/* What a socket's buffer has room for, however small it is made. */
#define SHORT_MESSAGE 400

static bool put_in_journal(const struct log_record *record)
{
    char message[PIPE_BUF];
    message[log_text_put(message, sizeof(message) - 1, record->text, false)] = '\0';
    int r = send_to_journal(record, message);
    if (r == -EMSGSIZE) {
        message[log_text_put(message, SHORT_MESSAGE, record->text, false)] = '\0';
        r = send_to_journal(record, message);
    }
    if (r == 0 || r == -EAGAIN)
        return r == 0;
    return put_on(target.stderr_fd, record);
}

static bool put(const struct log_record *record)
{
    if (target.format == LOG_FORMAT_JOURNAL && target.journal >= 0)
        return put_in_journal(record);
    return target.file.fd >= 0 ? put_in_file(record) : put_on(target.stderr_fd, record);
}

/* For who waits at the terminal for the start of a daemon. */
static void put_on_terminal(const struct log_record *record)
{
    bool elsewhere = target.file.fd >= 0 || target.format == LOG_FORMAT_JOURNAL;
    if (record->level <= LOG_LEVEL_WARNING && elsewhere && target.stderr_fd != STDERR_FILENO)
        (void)put_on(target.stderr_fd, record);
}

static void say_what_was_lost(void)
{
    char text[80];
    (void)snprintf(text, sizeof(text), "%lu log lines were lost: no reader or no space",
                   target.lost);
    if (put(&(struct log_record){.level = LOG_LEVEL_WARNING, .text = text}))
        target.lost = 0;
}

static void write_about(const struct log_subject *subject, enum log_level level, const char *format,
                        va_list arguments) PRINTF_LIKE(3, 0);

static void write_about(const struct log_subject *subject, enum log_level level, const char *format,
                        va_list arguments)
{
    if (level > target.level)
        return;
    int saved = errno;
    char text[PIPE_BUF];
    const char *name = subject->worker ? subject->worker : subject->program;
    int n = name ? snprintf(text, sizeof(text), "%s: ", name) : 0;
    if (n >= 0 && (size_t)n < sizeof(text))
        (void)vsnprintf(text + n, sizeof(text) - (size_t)n, format, arguments);
    if (target.format == LOG_FORMAT_JSON)
        string_make_utf8(text);
    if (target.lost > 0)
        say_what_was_lost();
    const struct log_record record = {.level = level, .subject = subject, .text = text};
    if (target.lost > 0 || !put(&record))
        target.lost++;
    put_on_terminal(&record);
    errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_about(&(struct log_subject){0}, level, format, arguments);
    va_end(arguments);
}

void log_about(struct log_subject subject, enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_about(&subject, level, format, arguments);
    va_end(arguments);
}

bool log_limit_pass(struct log_limit *limit, unsigned *ret_suppressed)
{
    uint64_t now = clock_monotonic_usec();
    if (limit->began_usec == 0 || now - limit->began_usec >= limit->interval_usec) {
        limit->began_usec = now;
        limit->used = 0;
    }
    if (limit->used >= limit->burst) {
        limit->suppressed++;
        return false;
    }
    limit->used++;
    *ret_suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}
