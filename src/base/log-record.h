/*
 * log-record.h - one line of a log as bytes, in each format. Pure but for the clock: where it goes is somebody else's (log.h, reloader-log).
 *
 * Text goes out as it is but for control characters and what is no UTF-8: one event is one line, no terminal is steered, and whoever
 * reads JSON can read it.
 */
#pragma once

#include "base/log.h"

#include <stddef.h>

struct log_record {
    enum log_level level;
    const struct log_subject *subject; /* NULL: nobody in particular */
    const char *stream; /* "stdout" or "stderr": it is what a worker printed there; NULL: it is our own */
    const char *prefix; /* before the text, where the format has no fields; NULL: nothing */
    const char *text;
};

/* What any record needs beside its text: its names, numbers, time. */
#define LOG_RECORD_OVERHEAD 1024
/* The most that one byte of text may become. */
#define LOG_RECORD_GROWTH 6

/* A line of text or JSON (LOG_FORMAT_JOURNAL: text), with its newline: how many bytes. Text that finds no room is cut; size is at least LOG_RECORD_OVERHEAD. */
size_t log_record_put(char *line, size_t size, enum log_format format,
                      const struct log_record *record);

/* The fields for the journal; MESSAGE is `message`, and is left out if that is NULL. 0: they find no room. */
size_t log_record_put_fields(char *bytes, size_t size, const char *identifier,
                             const struct log_record *record, const char *message);

/* Text alone, by the rules above, without a NUL: how many bytes. */
size_t log_text_put(char *line, size_t size, const char *text, bool json);
