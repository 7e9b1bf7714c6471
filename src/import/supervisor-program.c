/*
 * [program:x] and [fcgi-program:x]. What differs from reloader's own defaults is written out, so that a program lives under the
 * rules that it had. Stopping is one signal and a wait, as it was: `drain: signal`, and nobody is told by messages.
 */
#include "import/supervisor-internal.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/quote.h"
#include "base/words.h"

#include <errno.h>
#include <string.h>

static void put_command(const struct part *part)
{
    const struct ini_option *option = part_get(part, "command");
    CLEANUP_FREE char *text = option ? part_template(part, option) : NULL, *reason = NULL;
    CLEANUP_STRV char **words = NULL;
    if (!text)
        return;
    int r = words_split_plain(text, &words, &reason);
    if (r == -EINVAL && reason)
        part_refuse(part, option, "%s", reason);
    else if (r < 0)
        document_no_memory(part->document);
    else
        document_put_list(part->document, option_origin(option), "command", words);
}

static void put_groups(const struct part *part, const struct program *program)
{
    CLEANUP_STRV char **groups = NULL;
    const struct ini *ini = part->translation->ini;
    for (size_t i = 0; i < ini->n_sections; i++) {
        const struct ini_section *group = &ini->sections[i];
        if (string_starts_with(group->name, "group:") && group_lists(group, program->name) &&
            strv_consume(&groups, make_name(group->name + strlen("group:"))) < 0)
            document_no_memory(part->document);
    }
    if (groups)
        document_put_list(part->document, section_origin(program->group), "groups", groups);
}

static void put_priority(const struct part *part, const struct program *program)
{
    struct part group = *part;
    group.section = (struct ini_section *)program->group;
    bool own = ini_find_option(part->section, "priority") || !program->group;
    put_number(own ? part : &group, "priority", "priority", NULL);
}

static void put_restart(const struct part *part)
{
    static const char *const theirs[] = {"unexpected", "true", "yes", "on", "1",
                                         "false",      "no",   "off", "0",  NULL};
    static const char *const ours[] = {"unexpected", "always", "always", "always", "always",
                                       "never",      "never",  "never",  "never"};
    const struct ini_option *option = part_get(part, "autorestart");
    int word = option ? part_word(part, option, theirs) : 0;
    if (word >= 0)
        document_put(part->document, option_origin(option), "restart", ours[word]);
}

static void put_exit_codes(const struct part *part)
{
    const struct ini_option *option = part_get(part, "exitcodes");
    CLEANUP_FREE char *text = option ? part_text(part, option) : NULL;
    CLEANUP_STRV char **codes = NULL;
    if (option && !text)
        return;
    for (const char *at = text ? text : "0,2"; *at != '\0';) {
        at += strspn(at, ", \t\n");
        size_t length = strcspn(at, ", \t\n");
        if (length > 0 && strv_consume(&codes, strndup(at, length)) < 0)
            document_no_memory(part->document);
        at += length;
    }
    document_put_list(part->document, option_origin(option), "expected_exit_codes", codes);
}

static void put_signal(const struct part *part)
{
    const struct ini_option *option = part_get(part, "stopsignal");
    CLEANUP_FREE char *text = option ? part_text(part, option) : NULL;
    int number;
    char buffer[SIGNAL_NAME_SIZE];
    if (!text)
        return;
    if (parse_signal(text, &number) < 0) {
        part_refuse(part, option, "expected a signal, as TERM: write what is meant by hand");
        return;
    }
    const char *name = signal_to_string(number, buffer);
    document_put(part->document, option_origin(option), "stop_signal",
                 string_starts_with(name, "SIG") ? name + strlen("SIG") : text);
}

/* By default it is Supervisor's way to leave alone whatever the process started. Here SIGKILL ends that, too, at the very end. */
static void put_kill_mode(const struct part *part)
{
    const struct ini_option *stop = part_get(part, "stopasgroup"),
                            *kill = part_get(part, "killasgroup");
    bool stop_group = false, kill_group = true;
    if (stop)
        (void)part_bool(part, stop, &stop_group);
    if (kill)
        (void)part_bool(part, kill, &kill_group);
    if (stop_group)
        document_put(part->document, option_origin(stop), "kill_mode", "group");
    else if (!kill_group)
        document_put(part->document, option_origin(kill), "kill_mode", "process");
}

static void put_life(const struct part *part, const struct program *program)
{
    put_switch(part, "autostart", "autostart");
    put_priority(part, program);
    put_restart(part);
    put_exit_codes(part);
    put_seconds(part, "startsecs", "start_seconds", "1s");
    put_number(part, "startretries", "start_retries", "3");
    document_put_yaml(part->document, (struct origin){0}, "backoff", "{initial: 1s}");
    document_put(part->document, (struct origin){0}, "drain", "signal");
    put_signal(part);
    put_seconds(part, "stopwaitsecs", "disconnect_timeout", "10s");
    put_seconds(part, "stopwaitsecs", "stop_timeout", "10s");
    put_kill_mode(part);
}

static void put_directory(const struct part *part)
{
    const struct ini_option *option = part_get(part, "directory");
    CLEANUP_FREE char *own = option ? part_path(part, option) : NULL;
    if (option && !own)
        return;
    document_put(part->document, option_origin(option), "directory",
                 own ? own : part->translation->directory);
    document_insist(part->document);
}

/* A version without `environment` for all programs has it in each. */
static void put_variables(const struct part *part, char *const *own)
{
    const struct translation *t = part->translation;
    CLEANUP_STRV char **all = NULL;
    int r = t->root_environment ? 0 : strv_copy(t->environment, &all);
    STRV_FOREACH (variable, own) {
        CLEANUP_FREE char *name = strndup(*variable, strcspn(*variable, "="));
        if (r == 0)
            r = name ? strv_env_set(&all, name, *variable + strlen(name) + 1) : -ENOMEM;
    }
    if (r < 0)
        document_no_memory(part->document);
    put_environment(part, all);
}

static void put_sockets(const struct part *part, const struct program *program)
{
    if (!program->fcgi)
        return;
    const struct origin origin = option_origin(part_get(part, "socket"));
    document_put_list(part->document, origin, "sockets", (char *[]){program->key, NULL});
    document_put_yaml(part->document, origin, "handoff", "[stdin]");
}

static void put_program(const struct part *part, const struct program *program, char *const *own)
{
    put_command(part);
    put_sockets(part, program);
    put_groups(part, program);
    put_number(part, "numprocs", "workers", NULL);
    put_number(part, "numprocs_start", "numprocs_start", NULL);
    put_template(part, "process_name", "worker_name");
    put_directory(part);
    put_variables(part, own);
    put_user(part);
    put_octal(part, "umask", "umask", NULL);
    put_life(part, program);
    output_translate(part);
    part_drop(part, "serverurl", "workers do not speak with the master by HTTP");
    if (program->fcgi)
        for (size_t i = 0; i < part->section->n_options; i++)
            part->section->options[i].used |= string_starts_with(part->section->options[i].name,
                                                                 "socket_");
    part_drop_rest(part);
}

static struct part part_of(struct translation *t, const struct program *program)
{
    program->section->used = true;
    return (struct part){
        .translation = t,
        .document = t->document,
        .section = program->section,
        .names = {.program_name = program->name,
                  .our_program_name = program->key,
                  .environment = {NULL, t->environment}},
    };
}

void program_translate(struct translation *translation, const struct program *program)
{
    struct part part = part_of(translation, program);
    struct document *document = translation->document;
    const struct ini_option *numprocs = ini_find_option(program->section, "numprocs"),
                            *environment = part_get(&part, "environment");
    const char *group = program->group ? program->group->name + strlen("group:") : NULL;
    CLEANUP_FREE char *our_group = make_name(group ? group : program->key);
    part.names.numprocs = numprocs ? numprocs->value : "1";
    part.names.group_name = group ? group : program->name;
    part.names.our_group_name = our_group;
    if (!our_group) {
        document_no_memory(document);
        return;
    }
    document_open(document, section_origin(program->section), program->key);
    if (strcmp(program->name, program->key) != 0)
        document_refuse(document, section_origin(program->section),
                        "its name is '%.100s' there: here names consist of letters, digits, _ . -",
                        program->name);
    CLEANUP_STRV char **own = environment ? part_variables(&part, environment) : NULL;
    part.names.environment[0] = own;
    put_program(&part, program, own);
    document_close(document);
}

/* unix:///path or tcp://host:port */
static void put_listen(const struct part *part)
{
    const struct ini_option *option = part_get(part, "socket");
    CLEANUP_FREE char *text = option ? part_text(part, option) : NULL, *listen = NULL;
    if (!text)
        return;
    if (string_starts_with(text, "unix://"))
        listen = string_format("unix:%s", text + strlen("unix://"));
    else if (string_starts_with(text, "tcp://"))
        listen = strdup(text + strlen("tcp://"));
    CLEANUP_FREE char *doubled = listen ? percent_double(listen) : NULL;
    if (doubled)
        document_put(part->document, option_origin(option), "listen", doubled);
    else
        part_refuse(part, option, "expected unix:///PATH or tcp://HOST:PORT");
}

void program_translate_socket(struct translation *translation, const struct program *program)
{
    struct part part = part_of(translation, program);
    const struct ini_option *option = ini_find_option(program->section, "socket");
    bool is_file = option && string_starts_with(option->value, "unix:");
    document_open(part.document, section_origin(program->section), program->key);
    put_listen(&part);
    put_number(&part, "socket_backlog", "backlog", NULL);
    put_octal(&part, "socket_mode", "mode", is_file ? "0700" : NULL);
    put_owner(&part, "socket_owner");
    document_close(part.document);
}
