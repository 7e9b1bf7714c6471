#include "base/log.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/journal.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
    int file; /* -1: stderr */
    int stderr_fd;
    char *path; /* of file */
    int journal; /* -1: none */
    char *journal_path, *identifier;
    unsigned long lost;
} target = {.level = LOG_LEVEL_INFO, .file = -1, .stderr_fd = STDERR_FILENO, .journal = -1};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_TRACE] = "trace",
};

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

int log_get_fd(void)
{
    return target.file >= 0 ? target.file : target.stderr_fd;
}

void log_set_stderr(int fd)
{
    target.stderr_fd = fd;
}

static int open_log(const char *path)
{
    /* O_NONBLOCK: a FIFO without a reader must not stop the start. */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    return fd < 0 ? -errno : fd;
}

int log_set_file(const char *path)
{
    CLEANUP_FREE char *copy = NULL;
    int fd = -1;
    if (path) {
        copy = strdup(path);
        if (!copy)
            return -ENOMEM;
        fd = open_log(path);
        if (fd < 0)
            return fd;
    }
    (void)fd_close(target.file);
    free(target.path);
    target.file = fd;
    target.path = TAKE_PTR(copy);
    return 0;
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
    if (!target.path)
        return 0;
    int fd = open_log(target.path);
    if (fd < 0)
        return fd;
    (void)fd_close(target.file);
    target.file = fd;
    return 0;
}

const char *log_level_to_string(enum log_level level)
{
    return level_names[level];
}

int log_level_from_string(const char *name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    return -EINVAL;
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
    if (n > 0 && n < (ssize_t)size && fd == target.file)
        take_back(fd, n);
    return n == (ssize_t)size;
}

static size_t put_timestamp(char *text, size_t size)
{
    uint64_t now = clock_realtime_usec();
    time_t seconds = (time_t)(now / USEC_PER_SEC);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    size_t n = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, size - n, ".%03uZ",
                          (unsigned)(now % USEC_PER_SEC / USEC_PER_MSEC));
    return n;
}

/* Bytes of the printable UTF-8 character that text begins with; 0: it is a control character or no UTF-8. */
static size_t printable_length(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] < 0x80)
        return c[0] >= 0x20 && c[0] != 0x7f;
    size_t length = c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : c[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
    bool beyond = (c[0] == 0xed && c[1] >= 0xa0) || (c[0] == 0xf4 && c[1] >= 0x90);
    bool control = c[0] == 0xc2 && c[1] < 0xa0;
    return overlong || beyond || control ? 0 : length;
}

#define CHARACTER_SIZE_MAX 7 /* "\u001b" and snprintf's NUL */

static size_t put_character(char *line, const char *text, size_t length, bool json)
{
    unsigned char c = (unsigned char)*text;
    if (json && (c < 0x20 || c == 0x7f))
        return (size_t)snprintf(line, CHARACTER_SIZE_MAX, "\\u%04x", c);
    size_t n = 0;
    if (json && (c == '"' || c == '\\'))
        line[n++] = '\\';
    if (length == 0)
        line[n++] = '?';
    memcpy(line + n, text, length);
    return n + length;
}

/*
 * Text goes out as it is but for control characters and what is no UTF-8 (it may come from anywhere, and may be cut):
 * one event is one line, no terminal is steered, and whoever reads JSON can read it.
 */
static size_t put_text(char *line, size_t size, const char *text, bool json)
{
    size_t n = 0;
    while (*text && n + CHARACTER_SIZE_MAX <= size) {
        size_t length = printable_length(text);
        n += put_character(line + n, text, length, json);
        text += MAX(length, (size_t)1);
    }
    return n;
}

static size_t put_json_text(char *line, size_t size, const char *name, const char *text)
{
    size_t n = (size_t)snprintf(line, size, "\"%s\":\"", name);
    n += put_text(line + n, size - n - 1, text, true);
    line[n++] = '"';
    return n;
}

static size_t put_json_number(char *line, size_t size, const char *name, uint64_t number)
{
    return (size_t)snprintf(line, size, "\"%s\":%" PRIu64 ",", name, number);
}

/* Names have at most 128 bytes: there is room for all of it. */
static size_t put_json_subject(char *line, size_t size, const struct log_subject *subject)
{
    size_t n = 0;
    if (subject->program) {
        n += put_json_text(line + n, size - n, "program", subject->program);
        line[n++] = ',';
    }
    if (subject->worker) {
        n += put_json_text(line + n, size - n, "worker", subject->worker);
        line[n++] = ',';
    }
    if (subject->worker && subject->generation > 0)
        n += put_json_number(line + n, size - n, "slot", subject->slot);
    if (subject->generation > 0)
        n += put_json_number(line + n, size - n, "generation", subject->generation);
    if (subject->pid > 0)
        n += put_json_number(line + n, size - n, "pid", (uint64_t)subject->pid);
    if (subject->reload > 0)
        n += put_json_number(line + n, size - n, "reload", subject->reload);
    return n;
}

struct record {
    enum log_level level;
    const struct log_subject *subject;
    const char *text;
};

static size_t put_record(char *line, size_t size, const struct record *record)
{
    char when[40];
    (void)put_timestamp(when, sizeof(when));
    const char *name = level_names[record->level];
    if (target.format != LOG_FORMAT_JSON) {
        size_t n = (size_t)snprintf(line, size, "%s %s ", when, name);
        n += put_text(line + n, size - n - 1, record->text, false);
        line[n++] = '\n';
        return n;
    }
    size_t n = (size_t)snprintf(line, size, "{\"time\":\"%s\",\"level\":\"%s\",", when, name);
    n += put_json_subject(line + n, size - n, record->subject);
    n += put_json_text(line + n, size - n - 2, "message", record->text);
    memcpy(line + n, "}\n", 2);
    return n + 2;
}

static bool put_on(int fd, const struct record *record)
{
    char line[PIPE_BUF];
    return put_line(fd, line, put_record(line, sizeof(line), record));
}

#define NUMBER_SIZE        24
#define JOURNAL_FIELDS_MAX 9

struct journal_fields {
    struct journal_field list[JOURNAL_FIELDS_MAX];
    size_t n;
    char numbers[4][NUMBER_SIZE];
    size_t n_numbers;
};

static void add_field(struct journal_fields *fields, const char *name, const char *value)
{
    if (value)
        fields->list[fields->n++] = (struct journal_field){name, value};
}

static void add_number(struct journal_fields *fields, const char *name, bool applies,
                       uint64_t number)
{
    if (!applies)
        return;
    char *text = fields->numbers[fields->n_numbers++];
    (void)snprintf(text, NUMBER_SIZE, "%" PRIu64, number);
    add_field(fields, name, text);
}

/* syslog(3)'s numbers. */
static const char *level_to_priority(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "3";
    case LOG_LEVEL_WARNING:
        return "4";
    case LOG_LEVEL_INFO:
        return "6";
    case LOG_LEVEL_DEBUG:
    case LOG_LEVEL_TRACE:
        return "7";
    }
    return "6";
}

static int send_to_journal(const struct record *record, const char *message)
{
    const struct log_subject *subject = record->subject;
    bool has_generation = subject->generation > 0;
    struct journal_fields fields = {.n = 0};
    char bytes[2 * PIPE_BUF];
    add_field(&fields, "MESSAGE", message);
    add_field(&fields, "PRIORITY", level_to_priority(record->level));
    add_field(&fields, "SYSLOG_IDENTIFIER", target.identifier);
    add_field(&fields, "RELOADER_PROGRAM", subject->program);
    add_field(&fields, "RELOADER_WORKER", subject->worker);
    add_number(&fields, "RELOADER_SLOT", subject->worker && has_generation, subject->slot);
    add_number(&fields, "RELOADER_GENERATION", has_generation, subject->generation);
    add_number(&fields, "RELOADER_WORKER_PID", subject->pid > 0, (uint64_t)subject->pid);
    add_number(&fields, "RELOADER_RELOAD", subject->reload > 0, subject->reload);
    size_t size = journal_serialize(fields.list, fields.n, bytes, sizeof(bytes));
    if (size == 0)
        return -EMSGSIZE;
    return journal_send(target.journal, target.journal_path, bytes, size);
}

/* What a socket's buffer has room for, however small it is made. */
#define SHORT_MESSAGE 400

static bool put_in_journal(const struct record *record)
{
    char message[PIPE_BUF];
    message[put_text(message, sizeof(message) - 1, record->text, false)] = '\0';
    int r = send_to_journal(record, message);
    if (r == -EMSGSIZE) {
        message[put_text(message, SHORT_MESSAGE, record->text, false)] = '\0';
        r = send_to_journal(record, message);
    }
    if (r == 0 || r == -EAGAIN)
        return r == 0;
    return put_on(target.stderr_fd, record);
}

static bool put(const struct record *record)
{
    if (target.format == LOG_FORMAT_JOURNAL && target.journal >= 0)
        return put_in_journal(record);
    return put_on(log_get_fd(), record);
}

/* For who waits at the terminal for the start of a daemon. */
static void put_on_terminal(const struct record *record)
{
    bool elsewhere = target.file >= 0 || target.format == LOG_FORMAT_JOURNAL;
    if (record->level <= LOG_LEVEL_WARNING && elsewhere && target.stderr_fd != STDERR_FILENO)
        (void)put_on(target.stderr_fd, record);
}

static void say_what_was_lost(void)
{
    char text[80];
    (void)snprintf(text, sizeof(text), "%lu log lines were lost: no reader or no space",
                   target.lost);
    if (put(&(struct record){LOG_LEVEL_WARNING, &(struct log_subject){0}, text}))
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
    const struct record record = {level, subject, text};
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
