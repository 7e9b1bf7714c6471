/*
 * log.h - one line per thing an operator wants to know: time, level, text.
 *
 * The only mutable global of the house lives here: level, format and where to. A line is at most PIPE_BUF bytes and
 * is written only when the target takes it at once (poll), so that a full pipe or a stopped terminal never stops
 * the master; lines lost that way are counted and said when the target takes lines again.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_TRACE };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* LOG_FORMAT_JOURNAL needs log_set_journal() before. */
void log_set_format(enum log_format format);
enum log_format log_get_format(void);
/*
 * Where records for the journal go, and under which SYSLOG_IDENTIFIER. While nobody is there, lines go to stderr as text. 0 or -errno, then
 * nothing changed. Both strings are copied.
 */
int log_set_journal(const char *socket_path, const char *identifier);

/* From now on to this file (O_APPEND, created 0640), or to stderr again (NULL). On failure nothing changes; -errno. */
int log_set_file(const char *path);
/*
 * The file is rotated before a line that would make it larger than max_size (0, as at first: never); 0 backups: it is emptied. That this
 * fails is said once, and the file grows.
 */
void log_set_rotation(uint64_t max_size, unsigned backups);
/* 0 where it is not rotated. */
uint64_t log_get_max_size(void);
/* Called when there is a new file, from within whoever logs: it only takes note. NULL: nobody is. */
void log_on_rotated(void (*rotated)(void *userdata), void *userdata);
/* Rotates it now if it is that large: others have written into it, too. */
void log_rotate(void);
/* Would log_set_file() do? It is not made where it is not there. */
int log_try_file(const char *path);
/* Opens the file anew, after somebody renamed it. Without a file it does nothing. */
int log_reopen(void);
/*
 * What stands for stderr from now on; borrowed. A master that becomes a daemon keeps the terminal for its own lines this way
 * until it is ready, while its workers inherit a stderr that holds on to nothing. Warnings and errors go there even when the
 * log is a file: who waits for the start has to see why it fails.
 */
void log_set_stderr(int fd);

/* Of the journal, or NULL; owned by the log, until it is set anew. */
const char *log_get_identifier(void);
/* The fd lines go to now; owned by the log. */
int log_get_fd(void);
/* Likewise, but of nothing that only stands for stderr: for who keeps it. */
int log_get_lasting_fd(void);

const char *log_level_to_string(enum log_level level);
int log_level_from_string(const char *name, enum log_level *ret);

void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * Whom a line is about. The text begins with the worker's name, else the program's, and ": "; formats with fields have each of
 * them by itself as well. What is NULL or 0 does not apply; a slot goes with a generation. Strings are borrowed.
 */
struct log_subject {
    const char *program, *worker;
    unsigned slot;
    uint64_t generation;
    pid_t pid; /* the worker's */
    uint64_t reload;
};
void log_about(struct log_subject subject, enum log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_trace(...)   log_write(LOG_LEVEL_TRACE, __VA_ARGS__)

/*
 * A bound for lines that somebody else can cause: at most `burst` per interval. Returns true if the line may be
 * written; *ret_suppressed then says how many were not since the last one that was.
 */
struct log_limit {
    uint64_t interval_usec;
    unsigned burst;
    uint64_t began_usec;
    unsigned used, suppressed;
};
bool log_limit_pass(struct log_limit *limit, unsigned *ret_suppressed);
