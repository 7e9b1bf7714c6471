#include "import/ini.h"

#include "base/strv.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#define BLANKS    " \t\r\v\f"
#define VALUE_MAX ((size_t)64 * 1024)

struct parser {
    struct ini *ini;
    const char *file;
    unsigned line;
    struct ini_section *section; /* NULL: none began yet */
    struct ini_option *option;   /* that an indented line goes on with; NULL: none */
    size_t indent;               /* of the line that began it */
    char **ret_error;
};

static void section_clear(struct ini_section *section)
{
    for (size_t i = 0; i < section->n_options; i++) {
        free(section->options[i].name);
        free(section->options[i].value);
    }
    free(section->options);
    free(section->name);
}

void ini_clear(struct ini *ini)
{
    for (size_t i = 0; i < ini->n_sections; i++)
        section_clear(&ini->sections[i]);
    free(ini->sections);
    ini->files = strv_free(ini->files);
    *ini = (struct ini){0};
}

struct ini_section *ini_find(const struct ini *ini, const char *name)
{
    for (size_t i = 0; i < ini->n_sections; i++)
        if (strcmp(ini->sections[i].name, name) == 0)
            return &ini->sections[i];
    return NULL;
}

struct ini_option *ini_find_option(const struct ini_section *section, const char *name)
{
    for (size_t i = 0; section && i < section->n_options; i++)
        if (strcmp(section->options[i].name, name) == 0)
            return &section->options[i];
    return NULL;
}

static int fail(struct parser *p, const char *what)
{
    *p->ret_error = string_format("%s:%u: %s", p->file, p->line, what);
    return *p->ret_error ? -EINVAL : -ENOMEM;
}

/* Where a comment begins, or the end. */
static size_t find_comment(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (strchr("#;", line[i]) && (i == 0 || strchr(BLANKS, line[i - 1])))
            return i;
    return length;
}

static void trim(const char **text, size_t *length)
{
    while (*length > 0 && strchr(BLANKS, (*text)[*length - 1]))
        (*length)--;
    while (*length > 0 && strchr(BLANKS, **text)) {
        (*text)++;
        (*length)--;
    }
}

static int begin_section(struct parser *p, const char *text, size_t length)
{
    const char *end = memrchr(text, ']', length);
    if (!end || end == text + 1)
        return fail(p, "a section has no name or no end: expected [NAME], as [program:web]");
    CLEANUP_FREE char *name = strndup(text + 1, (size_t)(end - text - 1));
    if (!name)
        return -ENOMEM;
    p->option = NULL;
    p->section = ini_find(p->ini, name);
    if (p->section)
        return 0;
    if (p->ini->n_sections == INI_SECTIONS_MAX)
        return fail(p, "more than 1024 sections: import a part of them");
    struct ini_section *larger = reallocarray(p->ini->sections, p->ini->n_sections + 1,
                                              sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    p->ini->sections = larger;
    p->section = &larger[p->ini->n_sections++];
    *p->section = (struct ini_section){.name = TAKE_PTR(name), .file = p->file, .line = p->line};
    return 0;
}

static int add_option(struct parser *p, const char *name, struct ini_option **ret)
{
    struct ini_section *section = p->section;
    *ret = ini_find_option(section, name);
    if (*ret)
        return 0;
    if (section->n_options == INI_OPTIONS_MAX)
        return fail(p, "more than 256 settings in one section: expected those of Supervisor");
    struct ini_option *larger = reallocarray(section->options, section->n_options + 1,
                                             sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    section->options = larger;
    larger[section->n_options] = (struct ini_option){.name = strdup(name)};
    if (!larger[section->n_options].name)
        return -ENOMEM;
    *ret = &larger[section->n_options++];
    return 0;
}

static int fail_length(struct parser *p)
{
    return fail(p, "the value is longer than 64 KiB: nothing that Supervisor has needs that");
}

static int begin_option(struct parser *p, const char *text, size_t length)
{
    size_t delimiter = 0;
    while (delimiter < length && !strchr("=:", text[delimiter]))
        delimiter++;
    if (delimiter == 0 || delimiter == length)
        return fail(p, "this is neither a section nor a setting: expected [NAME] or NAME=VALUE; "
                       "further lines of a value are indented");
    const char *value = text + delimiter + 1;
    size_t name_length = delimiter, value_length = length - delimiter - 1;
    trim(&text, &name_length);
    trim(&value, &value_length);
    if (value_length > VALUE_MAX)
        return fail_length(p);
    CLEANUP_FREE char *name = strndup(text, name_length), *copy = strndup(value, value_length);
    if (!name || !copy)
        return -ENOMEM;
    for (char *s = name; *s != '\0'; s++)
        *s = (char)tolower((unsigned char)*s);
    int r = add_option(p, name, &p->option);
    if (r < 0)
        return r;
    free(p->option->value);
    p->option->value = TAKE_PTR(copy);
    p->option->file = p->file;
    p->option->line = p->line;
    return 0;
}

static int continue_option(struct parser *p, const char *text, size_t length)
{
    size_t before = strlen(p->option->value);
    if (before + length > VALUE_MAX)
        return fail_length(p);
    char *longer = realloc(p->option->value, before + 1 + length + 1);
    if (!longer)
        return -ENOMEM;
    p->option->value = longer;
    longer[before] = '\n';
    memcpy(longer + before + 1, text, length);
    longer[before + 1 + length] = '\0';
    return 0;
}

static int parse_line(struct parser *p, const char *line, size_t length)
{
    size_t indent = 0;
    while (indent < length && strchr(BLANKS, line[indent]))
        indent++;
    const char *text = line;
    size_t text_length = find_comment(line, length);
    trim(&text, &text_length);
    if (text_length == 0)
        return 0;
    if (p->option && indent > p->indent)
        return continue_option(p, text, text_length);
    p->indent = indent;
    if (*text == '[')
        return begin_section(p, text, text_length);
    if (!p->section)
        return fail(p, "a setting before the first section: expected a section, as [supervisord]");
    return begin_option(p, text, text_length);
}

int ini_parse(struct ini *ini, const char *file, const char *text, char **ret_error)
{
    int r = strv_append(&ini->files, file);
    if (r < 0)
        return r;
    struct parser parser = {.ini = ini, .ret_error = ret_error};
    parser.file = ini->files[strv_length(ini->files) - 1];
    while (r == 0 && *text != '\0') {
        size_t length = strcspn(text, "\n");
        parser.line++;
        r = parse_line(&parser, text, length);
        text += length + (text[length] == '\n');
    }
    return r;
}
