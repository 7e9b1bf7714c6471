#include "import/supervisor.h"

#include "base/strv.h"
#include "config/paths.h"
#include "config/quote.h"
#include "import/supervisor-internal.h"

#include <errno.h>
#include <string.h>

struct programs {
    struct program *list;
    size_t n;
};

static void programs_clear(struct programs *programs)
{
    for (size_t i = 0; i < programs->n; i++)
        free(programs->list[i].key);
    free(programs->list);
}

static void translation_clear(struct translation *t)
{
    free(t->directory);
    (void)strv_free(t->environment);
    (void)strv_free(t->names);
}

/* A name that no other program has: web, web-2, … */
static char *take_name(struct translation *t, const char *name)
{
    CLEANUP_FREE char *made = make_name(name), *free_one = made ? strdup(made) : NULL;
    for (unsigned n = 2; free_one && strv_contains(t->names, free_one); n++) {
        free(free_one);
        free_one = string_format("%.58s-%u", made, n);
    }
    return free_one && strv_append(&t->names, free_one) == 0 ? TAKE_PTR(free_one) : NULL;
}

static const char *name_in(const struct ini_section *section, const char *prefix)
{
    const char *name = section->name + strlen(prefix);
    return string_starts_with(section->name, prefix) ? name + strspn(name, " \t") : NULL;
}

/* As Supervisor has it: "a, b". */
bool group_lists(const struct ini_section *group, const char *program)
{
    const struct ini_option *option = ini_find_option(group, "programs");
    const size_t length = strlen(program);
    const char *at = option ? option->value : "";
    while (*at != '\0') {
        at += strspn(at, ", \t\n");
        size_t n = strcspn(at, ", \t\n");
        if (n == length && memcmp(at, program, n) == 0)
            return true;
        at += n;
    }
    return false;
}

static const struct ini_section *find_group(const struct ini *ini, const char *program)
{
    for (size_t i = 0; i < ini->n_sections; i++) {
        const struct ini_section *section = &ini->sections[i];
        if (name_in(section, "group:") && group_lists(section, program))
            return section;
    }
    return NULL;
}

static int collect(struct translation *t, struct programs *ret)
{
    for (size_t i = 0; i < t->ini->n_sections; i++) {
        struct ini_section *section = &t->ini->sections[i];
        const char *plain = name_in(section, "program:"), *fcgi = name_in(section, "fcgi-program:");
        if (!plain && !fcgi)
            continue;
        struct program *larger = reallocarray(ret->list, ret->n + 1, sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        ret->list = larger;
        struct program *program = &larger[ret->n++];
        *program = (struct program){
            .section = section, .name = plain ? plain : fcgi, .fcgi = fcgi != NULL};
        program->group = find_group(t->ini, program->name);
        program->key = take_name(t, program->name);
        if (!program->key)
            return -ENOMEM;
    }
    return 0;
}

static int find_directory(struct translation *t, const char *path)
{
    const struct ini_section *section = ini_find(t->ini, "supervisord");
    const struct ini_option *option = ini_find_option(section, "directory");
    CLEANUP_FREE char *here = path_directory(path);
    t->directory = here ? percent_double(here) : NULL;
    if (!t->directory)
        return -ENOMEM;
    if (!option)
        return 0;
    const struct part part = {
        .translation = t, .document = t->document, .section = (struct ini_section *)section};
    char *directory = part_path(&part, option);
    if (directory) {
        free(t->directory);
        t->directory = directory;
    }
    return 0;
}

static void put_sockets(struct translation *t, const struct programs *programs)
{
    document_open(t->document, (struct origin){0}, "sockets");
    for (size_t i = 0; i < programs->n; i++)
        if (programs->list[i].fcgi)
            program_translate_socket(t, &programs->list[i]);
    document_close(t->document);
}

static bool has_priorities(const struct programs *programs, const struct ini_section *group)
{
    for (size_t i = 0; i < programs->n; i++)
        if (programs->list[i].group == group &&
            ini_find_option(programs->list[i].section, "priority"))
            return true;
    return false;
}

static bool has_program(const struct programs *programs, const char *name, size_t length)
{
    for (size_t i = 0; i < programs->n; i++)
        if (strlen(programs->list[i].name) == length &&
            memcmp(programs->list[i].name, name, length) == 0)
            return true;
    return false;
}

/* One is enough to find the others. */
static void check_names(const struct part *part, const struct programs *programs,
                        const struct ini_option *names)
{
    const char *at = names ? names->value : "";
    while (*at != '\0') {
        at += strspn(at, ", \t\n");
        size_t length = strcspn(at, ", \t\n");
        if (length > 0 && !has_program(programs, at, length)) {
            part_refuse(part, names, "there is no program '%.*s'", (int)MIN(length, (size_t)80),
                        at);
            return;
        }
        at += length;
    }
}

static void check_group(struct translation *t, const struct programs *programs,
                        struct ini_section *section)
{
    const struct part part = {.translation = t, .document = t->document, .section = section};
    const struct ini_option *priority = part_get(&part, "priority"),
                            *names = part_get(&part, "programs");
    section->used = true;
    if (priority && has_priorities(programs, section))
        part_refuse(&part, priority, "a program's own priority counts, and some of them have one");
    check_names(&part, programs, names);
    part_drop_rest(&part);
}

static const char *why_not(const char *section)
{
    if (strcmp(section, "supervisorctl") == 0)
        return "reloaderctl needs no settings: it looks where reloader's own socket is, or takes "
               "-s";
    if (string_starts_with(section, "eventlistener:"))
        return "reloader does not speak the protocol of event listeners; on_event runs a command, "
               "reloaderctl events tells all of them";
    if (string_starts_with(section, "rpcinterface:"))
        return "there are no plugins";
    return "no section of Supervisor's that has a meaning here";
}

static void drop_sections(struct translation *t)
{
    for (size_t i = 0; i < t->ini->n_sections; i++) {
        struct ini_section *section = &t->ini->sections[i];
        if (section->used || strcmp(section->name, "include") == 0)
            continue;
        document_refuse(t->document, section_origin(section), "[%.100s]: %s", section->name,
                        why_not(section->name));
        for (size_t k = 0; k < section->n_options; k++)
            document_say(t->document, "  %s = %s", section->options[k].name,
                         option_shown(&section->options[k]));
    }
}

static void translate(struct translation *t, const struct programs *programs)
{
    supervisord_translate(t);
    put_sockets(t, programs);
    document_open(t->document, (struct origin){0}, "programs");
    for (size_t i = 0; i < programs->n; i++)
        program_translate(t, &programs->list[i]);
    document_close(t->document);
    for (size_t i = 0; i < t->ini->n_sections; i++)
        if (name_in(&t->ini->sections[i], "group:"))
            check_group(t, programs, &t->ini->sections[i]);
    drop_sections(t);
}

int supervisor_translate(struct ini *ini, const char *path, struct document *document)
{
    CLEANUP(translation_clear) struct translation t = {.ini = ini, .document = document};
    CLEANUP(programs_clear) struct programs programs = {0};
    int r = find_directory(&t, path);
    if (r == 0)
        r = collect(&t, &programs);
    if (r == 0)
        translate(&t, &programs);
    return r;
}
