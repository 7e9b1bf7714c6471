/*
 * stdout_logfile and what belongs to it. Supervisor writes to files of its own unless it is told otherwise; here output goes
 * where the master's own goes, so a file is one that is named, or one in childlogdir.
 */
#include "import/supervisor-internal.h"

#include "base/strv.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 64

enum destination { TO_INHERIT, TO_NULL, TO_FILE, TO_DIRECTORY, TO_SYSLOG, TO_UNKNOWN };

struct stream {
    const struct part *part;
    const char *name; /* stdout */
    enum destination to;
    struct ini_option *logfile;
    char *path;
};

static struct ini_option *get(const struct stream *stream, const char *suffix)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s_%s", stream->name, suffix);
    return part_get(stream->part, name);
}

static bool is_on(const struct stream *stream, const char *suffix)
{
    const struct ini_option *option = get(stream, suffix);
    bool on = false;
    return option && part_bool(stream->part, option, &on) && on;
}

static bool is_standard_stream(const char *path)
{
    static const char *const paths[] = {"/dev/stdout", "/dev/stderr",     "/dev/fd/1",
                                        "/dev/fd/2",   "/proc/self/fd/1", "/proc/self/fd/2"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (strcmp(path, paths[i]) == 0)
            return true;
    return false;
}

static enum destination find_destination(struct stream *stream)
{
    const enum destination automatic = stream->part->translation->log_directory ? TO_DIRECTORY
                                                                                : TO_INHERIT;
    const char *value = stream->logfile ? stream->logfile->value : "AUTO";
    if (is_on(stream, "syslog") || strcasecmp(value, "syslog") == 0)
        return TO_SYSLOG;
    if (strcasecmp(value, "auto") == 0)
        return automatic;
    if (strcasecmp(value, "none") == 0 || strcasecmp(value, "off") == 0 ||
        strcmp(value, "/dev/null") == 0)
        return TO_NULL;
    stream->path = part_path(stream->part, stream->logfile);
    if (!stream->path)
        return TO_UNKNOWN;
    return is_standard_stream(stream->path) ? TO_INHERIT : TO_FILE;
}

static void put_size_of(const struct stream *stream)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s_logfile_maxbytes", stream->name);
    put_size(stream->part, name, "max_size");
    (void)snprintf(name, sizeof(name), "%s_logfile_backups", stream->name);
    put_number(stream->part, name, "backups", NULL);
}

static const char *word_of(enum destination to)
{
    switch (to) {
    case TO_NULL:
        return "null";
    case TO_FILE:
    case TO_DIRECTORY:
        return "file";
    case TO_SYSLOG:
        return "syslog";
    case TO_INHERIT:
    case TO_UNKNOWN:
        return NULL;
    }
    return NULL;
}

static void put_section(const struct stream *stream, bool events)
{
    struct document *document = stream->part->document;
    const struct origin origin = stream->logfile ? option_origin(stream->logfile)
                                                 : section_origin(stream->part->section);
    const char *word = word_of(stream->to);
    bool file = stream->to == TO_FILE || stream->to == TO_DIRECTORY;
    document_open(document, origin, stream->name);
    if (word)
        document_put(document, origin, "to", word);
    if (stream->to == TO_FILE)
        document_put(document, origin, "path", stream->path);
    if (file)
        put_size_of(stream);
    if (file && stream->part->translation->strip_ansi)
        document_put_yaml(document, (struct origin){0}, "strip_ansi", "true");
    if (events)
        document_put_yaml(document, origin, "events", "true");
    document_close(document);
}

static void translate_stream(const struct part *part, const char *name)
{
    struct stream stream = {.part = part, .name = name};
    stream.logfile = get(&stream, "logfile");
    stream.to = find_destination(&stream);
    bool events = is_on(&stream, "events_enabled");
    /* Where nothing is written to a file, its size means nothing. */
    (void)get(&stream, "logfile_maxbytes");
    (void)get(&stream, "logfile_backups");
    char capture[NAME_SIZE];
    (void)snprintf(capture, sizeof(capture), "%s_capture_maxbytes", name);
    if (word_of(stream.to) || events)
        put_section(&stream, events);
    part_drop(part, capture, "reloader does not cut events out of output");
    free(stream.path);
}

void output_translate(const struct part *part)
{
    const struct ini_option *option = part_get(part, "redirect_stderr");
    bool redirect = false;
    if (option && part_bool(part, option, &redirect) && redirect)
        document_put_yaml(part->document, option_origin(option), "redirect_stderr", "true");
    translate_stream(part, "stdout");
    if (!redirect) {
        translate_stream(part, "stderr");
        return;
    }
    /* As Supervisor does: with redirect_stderr it does not look at them. */
    for (size_t i = 0; i < part->section->n_options; i++)
        if (string_starts_with(part->section->options[i].name, "stderr_"))
            part->section->options[i].used = true;
}
