/* What is watched: paths with wildcards, and names that are left out. */
#include "config/values.h"

#include "base/parse.h"
#include "base/pattern.h"
#include "base/strv.h"
#include "config/quote.h"
#include "config/section.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define PATHS_MAX 256

static void append(struct reader *reader, char ***list, const char *text)
{
    if (strv_append(list, text) < 0)
        reader->errors->no_memory = true;
}

static void check_path(struct reader *reader, const struct tree_node *node, const char *path)
{
    CLEANUP(pattern_freep) struct pattern *pattern = NULL;
    CLEANUP_FREE char *absolute = string_format("/%s", path);
    char text[TREE_TEXT_SIZE];
    const char *reason;
    int r = absolute ? pattern_new(absolute, &pattern, &reason) : -ENOMEM;
    if (*path == '\0')
        reader_error(reader, &node->place, "empty, expected a path, as lib/ or src/**/*.js");
    else if (strlen(path) >= PATH_MAX)
        reader_error(reader, &node->place, "longer than %d bytes, expected a path", PATH_MAX - 1);
    else if (r == -EINVAL)
        reader_error(reader, &node->place, "%s: %s", tree_describe(node, text), reason);
    else if (r < 0)
        reader->errors->no_memory = true;
}

static void read_path(struct reader *reader, const struct tree_node *node, char ***paths)
{
    if (!value_is_scalar(reader, node, "a path, as lib/ or src/**/*.js"))
        return;
    CLEANUP_FREE char *path = value_expand(reader, node, node->text);
    if (!path)
        return;
    check_path(reader, node, path);
    append(reader, paths, path);
}

static bool read_switch(const struct tree_node *node, bool *ret)
{
    return node->type == TREE_SCALAR && node->plain && parse_bool(node->text, ret) == 0;
}

static void read_watch(struct reader *reader, const struct key *key UNUSED,
                       const struct tree_node *node, void *object)
{
    struct config_program *program = object;
    char text[TREE_TEXT_SIZE];
    if (read_switch(node, &program->watch))
        return;
    program->watch = true;
    if (node->type == TREE_MAPPING)
        reader_error(reader, &node->place,
                     "%s is wrong here, expected paths, as [lib/, views/], or true for the program "
                     "file alone",
                     tree_describe(node, text));
    else if (node->type == TREE_SEQUENCE && node->n == 0)
        reader_error(
            reader, &node->place,
            "empty, expected paths, as [lib/, views/], or true for the program file alone");
    else if (value_list_length(node) > PATHS_MAX)
        reader_error(reader, &node->place, "more than %d paths", PATHS_MAX);
    else
        for (size_t i = 0; node->type != TREE_MAPPING && i < value_list_length(node); i++)
            read_path(reader, value_list_item(node, i), &program->watch_paths);
}

static void print_known_list(struct printer *printer, const char *name, char *const *items)
{
    CLEANUP_STRV char **doubled = NULL;
    STRV_FOREACH (item, items)
        if (strv_consume(&doubled, percent_double(*item)) < 0)
            printer->failed = true;
    print_list(printer, name, doubled);
}

static void print_watch(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    if (program->watch_paths) {
        print_known_list(printer, key->name, program->watch_paths);
        return;
    }
    print_key(printer, key->name);
    (void)fprintf(printer->stream, " %s\n", program->watch ? "true" : "false");
}

const struct value_type type_watch = {
    .label = "true, false or list of paths", .read = read_watch, .print = print_watch};

static void read_name(struct reader *reader, const struct tree_node *node, char ***names)
{
    char text[TREE_TEXT_SIZE];
    if (!value_is_scalar(reader, node, "a name, as node_modules or *.tmp"))
        return;
    const char *reason = pattern_check_name(node->text);
    if (reason)
        reader_error(reader, &node->place,
                     "%s: %s; expected a name of a file or directory, as node_modules or *.tmp",
                     tree_describe(node, text), reason);
    append(reader, names, node->text);
}

static void read_watch_ignore(struct reader *reader, const struct key *key UNUSED,
                              const struct tree_node *node, void *object)
{
    struct config_program *program = object;
    char text[TREE_TEXT_SIZE];
    if (node->type == TREE_MAPPING)
        reader_error(reader, &node->place,
                     "%s is wrong here, expected names, as [node_modules, \"*.tmp\"]",
                     tree_describe(node, text));
    else if (value_list_length(node) > PATHS_MAX)
        reader_error(reader, &node->place, "more than %d names", PATHS_MAX);
    else
        for (size_t i = 0; i < value_list_length(node); i++)
            read_name(reader, value_list_item(node, i), &program->watch_ignore);
}

static void print_watch_ignore(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    print_list(printer, key->name, program->watch_ignore);
}

const struct value_type type_watch_ignore = {
    .label = "list of names", .read = read_watch_ignore, .print = print_watch_ignore};

/* What version control, editors and Python write beside the files that matter. */
static const char *const ignored[] = {".git",   ".hg", ".svn", "__pycache__", "*~",
                                      ".*.sw?", ".#*", "#*#",  NULL};

int config_default_watch_ignore(char ***ret)
{
    return strv_copy((char *const *)(uintptr_t)ignored, ret);
}
