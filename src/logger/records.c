#include "logger/records.h"

#include "base/macros.h"
#include "base/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *data;
    size_t used, allocated;
};

static void text_clear(struct text *text)
{
    free(text->data);
}

static int make_room(struct text *text, size_t size)
{
    if (text->allocated - text->used >= size)
        return 0;
    size_t larger = MAX(text->used + size, 2 * text->allocated);
    char *data = realloc(text->data, larger);
    if (!data)
        return -ENOMEM;
    text->data = data;
    text->allocated = larger;
    return 0;
}

/* As a string: its newline goes, and what would end it before. */
static void end_string(char *line, size_t length)
{
    for (char *nul; (nul = memchr(line, '\0', length));)
        *nul = '?';
    line[length] = '\0';
}

static int put_line(struct text *text, enum log_format format, const struct origin *origin,
                    char *line, size_t size)
{
    char prefix[LOG_RECORD_OVERHEAD / 2];
    if (make_room(text, LOG_RECORD_OVERHEAD + LOG_RECORD_GROWTH * size) < 0)
        return -ENOMEM;
    end_string(line, size - 1);
    (void)snprintf(prefix, sizeof(prefix), "%s[%d]: ", origin->subject.worker,
                   (int)origin->subject.pid);
    const struct log_record record = {
        .level = LOG_LEVEL_INFO,
        .subject = &origin->subject,
        .stream = origin->stream,
        .prefix = prefix,
        .text = line,
    };
    text->used += log_record_put(text->data + text->used, text->allocated - text->used, format,
                                 &record);
    line[size - 1] = '\n';
    return 0;
}

static int put_lines(struct text *text, enum log_format format, struct job *job)
{
    int r = 0;
    for (size_t at = 0, size; r == 0 && at < job->size; at += size) {
        size = lines_first(job->data + at, job->size - at);
        r = put_line(text, format, job->origin, job->data + at, size);
    }
    return r;
}

void records_write(struct target *target, enum log_format format, struct job *job)
{
    CLEANUP(text_clear) struct text text = {0};
    int error = target->fd < 0 ? EBADF : -put_lines(&text, format, job);
    size_t written = error == 0 ? target_append(target, text.data, text.used, &error) : 0;
    if (error == 0)
        return;
    job->error = error;
    job->step = "write to";
    job_drop_from(job, lines_skip(job->data, job->size, lines_count(text.data, written)));
}
