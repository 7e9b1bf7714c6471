/* Types that hold text: names, paths, and templates that each worker expands for itself. */
#include "config/values.h"

#include "base/strv.h"
#include "config/expand.h"
#include "config/paths.h"
#include "config/quote.h"
#include "config/section.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 4096

static char **field_of(const struct key *key, const void *object)
{
    return (char **)(void *)((char *)(uintptr_t)object + key->offset);
}

static void set_field(struct reader *reader, const struct key *key, void *object, char *text)
{
    if (!text)
        reader->errors->no_memory = true;
    char **field = field_of(key, object);
    free(*field);
    *field = text;
}

/* The text of a scalar that is neither empty nor endless, or NULL after an error. */
static const char *read_text(struct reader *reader, const struct tree_node *node,
                             const char *expected)
{
    if (!value_is_scalar(reader, node, expected))
        return NULL;
    if (*node->text != '\0' && strlen(node->text) <= TEXT_MAX)
        return node->text;
    reader_error(reader, &node->place, "%s, expected %s",
                 *node->text == '\0' ? "empty" : "longer than 4096 bytes", expected);
    return NULL;
}

char *value_expand(struct reader *reader, const struct tree_node *node, const char *text)
{
    const struct expansion known = {
        .program_name = reader->program ? reader->program->name : NULL,
        .group_name = reader->program ? config_group_name(reader->program) : NULL,
        .here = reader->file->directory,
        .host_node_name = reader->host_node_name,
        .environment = environ,
    };
    CLEANUP_FREE char *reason = NULL;
    char *expanded = NULL;
    int r = expand(text, &known, &expanded, &reason);
    if (r == -ENOMEM)
        reader->errors->no_memory = true;
    else if (r < 0)
        reader_error(reader, &node->place, "%s", reason);
    return expanded;
}

char *value_absolute(const struct reader *reader, const char *path)
{
    return path_join(reader->file->directory, path);
}

/* Text that is known now is printed so that it is not expanded again. */
static void print_known(struct printer *printer, const struct key *key, const void *object)
{
    const char *text = *field_of(key, object);
    print_key(printer, key->name);
    if (text) {
        CLEANUP_FREE char *doubled = percent_double(text);
        if (doubled)
            print_text(printer, doubled);
        else
            printer->failed = true;
    } else {
        (void)fputs(" null", printer->stream);
    }
    (void)fputc('\n', printer->stream);
}

static void print_template(struct printer *printer, const struct key *key, const void *object)
{
    CLEANUP_FREE char *text = printer_template(printer, *field_of(key, object));
    print_key(printer, key->name);
    print_text(printer, text ? text : "");
    (void)fputc('\n', printer->stream);
}

static void read_known_text(struct reader *reader, const struct key *key,
                            const struct tree_node *node, void *object)
{
    const char *text = read_text(reader, node, "a text");
    char *expanded = text ? value_expand(reader, node, text) : NULL;
    if (expanded)
        set_field(reader, key, object, expanded);
}

/* Unset means something else than none. */
static void print_control_socket(struct printer *printer, const struct key *key, const void *object)
{
    if (*field_of(key, object)) {
        print_known(printer, key, object);
        return;
    }
    print_key(printer, key->name);
    (void)fputs(" none\n", printer->stream);
}

const struct value_type type_control_socket = {
    .label = "name, path or none",
    .read = read_known_text,
    .print = print_control_socket,
};

const struct value_type type_text = {
    .label = "text", .read = read_known_text, .print = print_known};

/* It means what it says: a percent sign in a password is one. */
static void read_secret(struct reader *reader, const struct key *key, const struct tree_node *node,
                        void *object)
{
    const char *text = read_text(reader, node, "a text");
    if (text)
        set_field(reader, key, object, strdup(text));
}

static void print_secret(struct printer *printer, const struct key *key, const void *object)
{
    const char *text = *field_of(key, object);
    print_key(printer, key->name);
    if (text)
        print_text(printer, text);
    else
        (void)fputs(" null", printer->stream);
    (void)fputc('\n', printer->stream);
}

bool value_is_same_secret(const struct key *key, const void *a, const void *b)
{
    const char *left = *field_of(key, a), *right = *field_of(key, b);
    return left && right ? strcmp(left, right) == 0 : left == right;
}

const struct value_type type_secret = {.label = "text", .read = read_secret, .print = print_secret};

static char *read_known_path(struct reader *reader, const struct tree_node *node)
{
    const char *text = read_text(reader, node, "a path");
    CLEANUP_FREE char *expanded = text ? value_expand(reader, node, text) : NULL;
    if (!expanded)
        return NULL;
    char *path = value_absolute(reader, expanded);
    if (!path)
        reader->errors->no_memory = true;
    return path;
}

static void read_path(struct reader *reader, const struct key *key, const struct tree_node *node,
                      void *object)
{
    char *path = read_known_path(reader, node);
    if (path)
        set_field(reader, key, object, path);
}

const struct value_type type_path = {.label = "path", .read = read_path, .print = print_known};

/* Where it is not set, the file does not set it either: another user would have another default. */
static void print_runtime_directory(struct printer *printer, const struct key *key,
                                    const void *object)
{
    if (printer->config->runtime_directory_default)
        (void)fputs("# ", printer->stream);
    print_known(printer, key, object);
}

const struct value_type type_runtime_directory = {
    .label = "path",
    .read = read_path,
    .print = print_runtime_directory,
};

static void read_environment_file(struct reader *reader, const struct key *key,
                                  const struct tree_node *node, void *object)
{
    CLEANUP_FREE char *path = read_known_path(reader, node);
    CLEANUP_STRV char **variables = NULL;
    CLEANUP_FREE char *error = NULL;
    if (!path)
        return;
    int r = config_read_environment_file(path, &variables, &error);
    if (r == -ENOMEM)
        reader->errors->no_memory = true;
    else if (r < 0)
        reader_error(reader, &node->place, "%s", error);
    else
        set_field(reader, key, object, TAKE_PTR(path));
}

const struct value_type type_environment_file = {
    .label = "path", .read = read_environment_file, .print = print_known};

/* Checked when the whole program is known: validate-program.c */
static void read_template(struct reader *reader, const struct key *key,
                          const struct tree_node *node, void *object)
{
    const char *text = read_text(reader, node, "a text");
    if (text)
        set_field(reader, key, object, strdup(text));
}

const struct value_type type_template = {
    .label = "text", .read = read_template, .print = print_template};

/* A path that begins with an expansion is absolute if what it stands for is. */
static bool begins_absolute(struct reader *reader, const char *text)
{
    const unsigned process_num = 0;
    const uint64_t generation = 1;
    const struct expansion sample = {
        .program_name = reader->program ? reader->program->name : "program",
        .group_name = reader->program ? config_group_name(reader->program) : "program",
        .here = reader->file->directory,
        .host_node_name = reader->host_node_name,
        .process_num = &process_num,
        .generation = &generation,
        .environment = environ,
    };
    CLEANUP_FREE char *expanded = NULL, *reason = NULL;
    return expand(text, &sample, &expanded, &reason) == 0 && expanded[0] == '/';
}

static void read_absolute(struct reader *reader, const struct key *key, const char *text,
                          void *object)
{
    if (!text)
        return;
    if (begins_absolute(reader, text)) {
        set_field(reader, key, object, strdup(text));
        return;
    }
    /* The file's directory is a fact, not a template: its percent signs mean themselves. */
    CLEANUP_FREE char *here = percent_double(reader->file->directory);
    set_field(reader, key, object, here ? path_join(here, text) : NULL);
}

static void read_directory(struct reader *reader, const struct key *key,
                           const struct tree_node *node, void *object)
{
    read_absolute(reader, key, read_text(reader, node, "a directory"), object);
}

static void read_template_path(struct reader *reader, const struct key *key,
                               const struct tree_node *node, void *object)
{
    read_absolute(reader, key, read_text(reader, node, "a path"), object);
}

/* What may be unset. */
static void print_template_path(struct printer *printer, const struct key *key, const void *object)
{
    if (*field_of(key, object)) {
        print_template(printer, key, object);
        return;
    }
    print_key(printer, key->name);
    (void)fputs(" null\n", printer->stream);
}

const struct value_type type_template_path = {
    .label = "path", .read = read_template_path, .print = print_template_path};

const struct value_type type_directory = {
    .label = "directory", .read = read_directory, .print = print_template_path};
