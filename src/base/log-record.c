#include "base/log-record.h"

#include "base/clock.h"
#include "base/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_TRACE] = "trace",
};

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
        return (c[0] >= 0x20 && c[0] != 0x7f) || c[0] == '\t';
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

size_t log_text_put(char *line, size_t size, const char *text, bool json)
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
    n += log_text_put(line + n, size - n - 1, text, true);
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

size_t log_record_put(char *line, size_t size, enum log_format format,
                      const struct log_record *record)
{
    char when[40];
    (void)put_timestamp(when, sizeof(when));
    const char *name = level_names[record->level];
    if (format != LOG_FORMAT_JSON) {
        size_t n = (size_t)snprintf(line, size, "%s %s ", when, name);
        if (record->prefix)
            n += log_text_put(line + n, size - n - 1, record->prefix, false);
        n += log_text_put(line + n, size - n - 1, record->text, false);
        line[n++] = '\n';
        return n;
    }
    size_t n = (size_t)snprintf(line, size, "{\"time\":\"%s\",\"level\":\"%s\",", when, name);
    if (record->subject)
        n += put_json_subject(line + n, size - n, record->subject);
    if (record->stream)
        n += (size_t)snprintf(line + n, size - n, "\"stream\":\"%s\",", record->stream);
    n += put_json_text(line + n, size - n - 2, "message", record->text);
    memcpy(line + n, "}\n", 2);
    return n + 2;
}

#define NUMBER_SIZE        24
#define JOURNAL_FIELDS_MAX 11

struct journal_fields {
    struct journal_field list[JOURNAL_FIELDS_MAX];
    size_t n;
    char numbers[5][NUMBER_SIZE];
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

size_t log_record_put_fields(char *bytes, size_t size, const char *identifier,
                             const struct log_record *record, const char *message)
{
    static const struct log_subject nobody;
    const struct log_subject *subject = record->subject ? record->subject : &nobody;
    bool has_generation = subject->generation > 0;
    struct journal_fields fields = {.n = 0};
    add_field(&fields, "MESSAGE", message);
    add_field(&fields, "PRIORITY", level_to_priority(record->level));
    add_field(&fields, "SYSLOG_IDENTIFIER", identifier);
    add_field(&fields, "RELOADER_PROGRAM", subject->program);
    add_field(&fields, "RELOADER_WORKER", subject->worker);
    add_number(&fields, "RELOADER_SLOT", subject->worker && has_generation, subject->slot);
    add_number(&fields, "RELOADER_GENERATION", has_generation, subject->generation);
    add_number(&fields, "RELOADER_WORKER_PID", subject->pid > 0, (uint64_t)subject->pid);
    add_number(&fields, "RELOADER_RELOAD", subject->reload > 0, subject->reload);
    add_number(&fields, "SYSLOG_PID", record->stream && subject->pid > 0, (uint64_t)subject->pid);
    add_field(&fields, "RELOADER_STREAM", record->stream);
    return journal_serialize(fields.list, fields.n, bytes, size);
}
