#include "config/section.h"

#include "base/strv.h"
#include "config/expand.h"
#include "config/quote.h"
#include "config/suggest.h"

#include <stdarg.h>
#include <string.h>

#define PATH_SIZE 400

static void path_of(const struct scope *scope, char *path, size_t size)
{
    const struct scope *scopes[8];
    size_t n = 0, used = 0;
    for (; scope && n < ARRAY_SIZE(scopes); scope = scope->up)
        scopes[n++] = scope;
    path[0] = '\0';
    while (n > 0) {
        n--;
        int written = snprintf(path + used, size - used, "%s%.64s", used > 0 ? "." : "",
                               scopes[n]->name);
        used = MIN(used + (size_t)written, size - 1);
    }
}

void reader_error(struct reader *reader, const struct place *place, const char *format, ...)
{
    char path[PATH_SIZE];
    va_list arguments;
    path_of(reader->scope, path, sizeof(path));
    va_start(arguments, format);
    errors_add_list(reader->errors, place ? place : reader->scope->place, path, format, arguments);
    va_end(arguments);
}

const struct key *key_find(const struct key_table *table, const char *name)
{
    for (const struct key *key = table->keys; key->name; key++)
        if (strcmp(key->name, name) == 0)
            return key;
    return NULL;
}

static const char *find_foreign(const struct key_table *table, const char *name)
{
    for (const struct foreign_key *foreign = table->foreign; foreign && foreign->name; foreign++)
        if (strcmp(foreign->name, name) == 0)
            return foreign->hint;
    return NULL;
}

/* A key that is right, but in the wrong mapping: "programs.NAME", or NULL. */
static const char *find_home(const char *name)
{
    for (const struct key_table *const *table = key_tables; *table; table++)
        if (*(*table)->path != '\0' && key_find(*table, name))
            return (*table)->path;
    return NULL;
}

void section_unknown_key(struct reader *reader, const struct key_table *table,
                         const struct tree_node *key)
{
    if (!errors_wanted(reader->errors)) {
        reader->errors->dropped++;
        return;
    }
    const char *hint = find_foreign(table, key->text), *home = find_home(key->text);
    if (hint) {
        reader_error(reader, &key->place, "unknown key: %s", hint);
        return;
    }
    struct suggestion suggestion;
    char text[SUGGESTION_TEXT_SIZE];
    suggestion_init(&suggestion, key->text);
    for (const struct key *known = table->keys; known->name; known++)
        suggestion_try(&suggestion, known->name);
    if (home && !suggestion.best)
        reader_error(reader, &key->place, "unknown key: it belongs into %s", home);
    else
        reader_error(reader, &key->place, "unknown key%s", suggestion_to_text(&suggestion, text));
}

static void check_keys(struct reader *reader, const struct key_table *table,
                       const struct tree_node *node)
{
    for (size_t i = 0; i < node->n; i++) {
        const struct tree_node *name = node->keys[i];
        struct scope scope = {.up = reader->scope, .name = name->text, .place = &name->place};
        const struct key *key = key_find(table, name->text);
        reader->scope = &scope;
        if (!key)
            section_unknown_key(reader, table, name);
        else if (!key->type)
            reader_error(reader, &name->place, "not in this version");
        reader->scope = scope.up;
    }
}

static void read_key(struct reader *reader, const struct key *key, const struct tree_node *node,
                     void *object)
{
    static const struct place defaults = {.origin = "built-in default"};
    struct tree_node standard = {
        .type = TREE_SCALAR, .place = defaults, .text = key->default_text, .plain = true};
    const struct tree_node *value = tree_get(node, key->name);
    if (!value && key->default_text)
        value = &standard;
    if (!value && !key->table)
        return;
    struct scope scope = {.up = reader->scope, .name = key->name};
    scope.place = value ? &value->place : reader->scope ? reader->scope->place : &defaults;
    reader->scope = &scope;
    key->type->read(reader, key, value, object);
    reader->scope = scope.up;
}

void section_read(struct reader *reader, const struct key_table *table,
                  const struct tree_node *node, void *object)
{
    if (node && node->type == TREE_MAPPING) {
        check_keys(reader, table, node);
    } else if (node && !tree_is_null(node)) {
        char text[TREE_TEXT_SIZE];
        reader_error(reader, &node->place, "%s is wrong here, expected keys and values (%s: …)",
                     tree_describe(node, text), table->keys[0].name);
    }
    /* Without memory objects are only half made: nothing more is read into them. */
    for (const struct key *key = table->keys; key->name && !reader->errors->no_memory; key++)
        if (key->type)
            read_key(reader, key, node, object);
}

void section_read_key(struct reader *reader, const struct key_table *table, const char *name,
                      const struct tree_node *node, void *object)
{
    read_key(reader, key_find(table, name), node, object);
}

void section_require(struct reader *reader, const struct key_table *table,
                     const struct tree_node *node)
{
    for (const struct key *key = table->keys; key->name; key++)
        if (key->required && !tree_get(node, key->name))
            reader_error(reader, NULL, "'%s' is missing: %s", key->name, key->help);
}

void section_print(struct printer *printer, const struct key_table *table, const void *object)
{
    for (const struct key *key = table->keys; key->name; key++)
        if (key->type)
            key->type->print(printer, key, object);
}

void print_key(struct printer *printer, const char *name)
{
    CLEANUP_FREE char *quoted = yaml_quote(name);
    if (!quoted)
        printer->failed = true;
    else
        (void)fprintf(printer->stream, "%*s%s:", (int)printer->indent, "", quoted);
}

void print_text(struct printer *printer, const char *text)
{
    CLEANUP_FREE char *quoted = yaml_quote(text);
    if (!quoted)
        printer->failed = true;
    else
        (void)fprintf(printer->stream, " %s", quoted);
}

bool printer_is_elsewhere(const struct printer *printer)
{
    return printer->file && strcmp(printer->file->directory, printer->config->here) != 0;
}

char *printer_template(struct printer *printer, const char *text)
{
    char *seen = printer_is_elsewhere(printer) ? expand_here(text, printer->file->directory)
                                               : strdup(text);
    printer->failed = printer->failed || !seen;
    return seen;
}

void print_list(struct printer *printer, const char *name, char *const *items)
{
    print_key(printer, name);
    (void)fputs(" [", printer->stream);
    STRV_FOREACH (item, items) {
        CLEANUP_FREE char *quoted = yaml_quote(*item);
        if (!quoted)
            printer->failed = true;
        else
            (void)fprintf(printer->stream, "%s%s", item == items ? "" : ", ", quoted);
    }
    (void)fputs("]\n", printer->stream);
}
