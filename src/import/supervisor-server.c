/* [supervisord], [unix_http_server] and [inet_http_server]: what is the master's own. */
#include "import/supervisor-internal.h"

#include "base/strv.h"

#include <string.h>

static struct part part_of(struct translation *translation, const char *section)
{
    struct ini_section *found = ini_find(translation->ini, section);
    if (found)
        found->used = true;
    return (struct part){.translation = translation,
                         .document = translation->document,
                         .section = found,
                         .names = {.environment = {translation->environment}}};
}

static bool is_terminal_log(const char *path)
{
    return string_starts_with(path, "/dev/stdout") || string_starts_with(path, "/dev/stderr") ||
           string_starts_with(path, "/dev/fd/") || string_starts_with(path, "/proc/self/fd/");
}

static void put_log_file(const struct part *part)
{
    const struct ini_option *option = part_get(part, "logfile");
    CLEANUP_FREE char *path = option ? part_path(part, option) : NULL;
    if (!path || is_terminal_log(path))
        return;
    if (strcmp(option->value, "syslog") == 0)
        part_refuse(part, option, "under systemd the journal has it; else name a file");
    else
        document_put(part->document, option_origin(option), "file", path);
}

static void put_level(const struct part *part)
{
    static const char *const theirs[] = {"critical", "error", "warn",    "warning", "info",
                                         "debug",    "trace", "blather", NULL};
    static const char *const ours[] = {"error", "error", "warning", "warning",
                                       "info",  "debug", "trace",   "trace"};
    const struct ini_option *option = part_get(part, "loglevel");
    int word = option ? part_word(part, option, theirs) : -1;
    if (word >= 0)
        document_put(part->document, option_origin(option), "level", ours[word]);
}

static void put_log(const struct part *part)
{
    document_open(part->document, section_origin(part->section), "log");
    put_level(part);
    put_log_file(part);
    put_size(part, "logfile_maxbytes", "max_size");
    put_number(part, "logfile_backups", "backups", NULL);
    document_close(part->document);
}

static void put_limits(const struct part *part)
{
    document_open(part->document, section_origin(part->section), "limits");
    put_number(part, "minfds", "nofile", NULL);
    put_number(part, "minprocs", "nproc", NULL);
    document_close(part->document);
}

/* Which is what people write so that Supervisor does not warn them. */
static void put_own_user(const struct part *part)
{
    const struct ini_option *option = part_get(part, "user");
    if (option && strcmp(option->value, "root") == 0)
        document_say(part->document,
                     "user: the master is who starts it; for root start it as root");
    else
        put_user(part);
}

static void put_log_directory(const struct part *part)
{
    const struct ini_option *option = ini_find_option(part->section, "childlogdir");
    put_path(part, "childlogdir", "log_directory");
    part->translation->log_directory = option != NULL;
}

static void take_environment(struct part *part)
{
    struct translation *t = part->translation;
    const struct ini_option *option = part_get(part, "environment");
    if (!option)
        return;
    t->environment = part_variables(part, option);
    t->root_environment = document_knows(t->document, "environment");
    if (t->root_environment)
        put_environment(part, t->environment);
}

static void drop_rest(struct part *part)
{
    static const struct {
        const char *name, *why;
    } dropped[] = {
        {"nodaemon", "reloader stays in the foreground, and goes to the background with -d"},
        {"silent", "reloader logs to one place: 'log.file', else standard error"},
        {"nocleanup", "reloader removes no files of logs"},
        {"profile_options", "there is no such thing here"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
        part_drop(part, dropped[i].name, dropped[i].why);
    (void)part_get(part, "directory"); /* is where relative paths begin */
    part_drop_rest(part);
}

static void translate_main(struct translation *translation)
{
    struct part part = part_of(translation, "supervisord");
    const struct ini_option *strip = part_get(&part, "strip_ansi");
    if (strip)
        (void)part_bool(&part, strip, &translation->strip_ansi);
    put_template(&part, "identifier", "identifier");
    put_path(&part, "pidfile", "pid_file");
    put_own_user(&part);
    put_octal(&part, "umask", "umask", "022");
    put_log_directory(&part);
    take_environment(&part);
    put_log(&part);
    put_limits(&part);
    drop_rest(&part);
}

static void translate_unix_server(struct translation *translation)
{
    const char *why = "who may use the socket is known by user and group: see control.group";
    struct part part = part_of(translation, "unix_http_server");
    if (!part.section)
        return;
    document_open(part.document, section_origin(part.section), "control");
    put_path(&part, "file", "socket");
    put_octal(&part, "chmod", "mode", NULL);
    put_owner(&part, "chown");
    part_drop(&part, "username", why);
    part_drop(&part, "password", why);
    part_drop_rest(&part);
    document_close(part.document);
}

/* 9001, :9001, *:9001 and HOST:9001 */
static void put_address(const struct part *part)
{
    const struct ini_option *option = part_get(part, "port");
    CLEANUP_FREE char *text = option ? part_text(part, option) : NULL;
    if (!text)
        return;
    const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
    int host = colon && text[0] != '*' ? (int)(colon - text) : 0;
    CLEANUP_FREE char *address = string_format("%.*s:%s", host > 0 ? host : 7,
                                               host > 0 ? text : "0.0.0.0", port);
    if (address)
        document_put(part->document, option_origin(option), "listen", address);
    else
        document_no_memory(part->document);
}

static void translate_inet_server(struct translation *translation)
{
    struct part part = part_of(translation, "inet_http_server");
    if (!part.section)
        return;
    document_open(part.document, section_origin(part.section), "gateway");
    put_address(&part);
    put_text(&part, "username", "username");
    put_text(&part, "password", "password");
    part_drop_rest(&part);
    document_close(part.document);
}

void supervisord_translate(struct translation *translation)
{
    translate_main(translation);
    translate_unix_server(translation);
    translate_inet_server(translation);
}
