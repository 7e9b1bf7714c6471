/*
 * `include:`: files with more sockets and programs.
 *
 * The patterns are read before any other key, and each file they name is parsed into the one tree, with places of its own.
 * Every file is read once, whatever names it; what went wrong with one does not hide the errors of the others.
 */
#include "config/values.h"

#include "base/fd.h"
#include "base/strv.h"
#include "config/expand.h"
#include "config/files.h"
#include "config/glob.h"
#include "config/paths.h"
#include "config/section.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATTERNS_MAX   100
#define PATTERN_LENGTH 4096
#define TOTAL_SIZE_MAX (4 * CONFIG_FILE_SIZE_MAX)

#define EXPECTED "a path or a pattern, as conf.d/*.yaml"

static void no_memory(struct reader *reader)
{
    reader->errors->no_memory = true;
}

/* Where it is not known what a path leads to, reading will tell. */
static bool was_read(struct reader *reader, const char *path, struct source_file *ret)
{
    struct stat st;
    *ret = (struct source_file){0};
    if (stat(path, &st) < 0)
        return false;
    *ret = (struct source_file){.known = true, .device = st.st_dev, .inode = st.st_ino};
    for (size_t i = 0; i < reader->config->n_files; i++) {
        const struct source_file *file = &reader->files[i];
        if (file->known && file->device == ret->device && file->inode == ret->inode)
            return true;
    }
    return false;
}

/* The main file is known by its path alone so far. */
static void know_main_file(struct reader *reader)
{
    struct stat st;
    struct source_file *file = &reader->files[0];
    if (!file->known && reader->config->path && stat(reader->config->path, &st) == 0) {
        file->known = true;
        file->device = st.st_dev;
        file->inode = st.st_ino;
    }
}

/* What an included file may hold. */
static void check_key(struct reader *reader, const struct tree_node *key)
{
    const char *main_file = config_file_name(reader->config->files[0]);
    struct scope scope = {.name = key->text, .place = &key->place};
    const struct scope *outer = reader->scope;
    reader->scope = &scope;
    if (strcmp(key->text, "include") == 0)
        reader_error(reader, NULL,
                     "an included file includes no others: name them under 'include' of %s",
                     main_file);
    else if (!key_find(&root_table, key->text))
        section_unknown_key(reader, &root_table, key);
    else if (strcmp(key->text, "sockets") != 0 && strcmp(key->text, "programs") != 0)
        reader_error(reader, NULL,
                     "an included file holds sockets and programs alone: this belongs into %s",
                     main_file);
    reader->scope = outer;
}

static bool check_root(struct reader *reader, const struct tree_node *root)
{
    char text[TREE_TEXT_SIZE];
    if (root->type != TREE_MAPPING) {
        struct scope scope = {.name = "", .place = &root->place};
        const struct scope *outer = reader->scope;
        reader->scope = &scope;
        if (!tree_is_null(root))
            reader_error(reader, NULL, "%s is wrong here, expected keys and values (programs: …)",
                         tree_describe(root, text));
        reader->scope = outer;
        return false;
    }
    for (size_t i = 0; i < root->n; i++)
        check_key(reader, root->keys[i]);
    return true;
}

static int parse_file(struct reader *reader, const struct config_file *file, const char *text,
                      size_t size)
{
    const struct place start = {.origin = file->path, .file = file->number, .line = 1, .column = 1};
    struct tree_node *root = NULL;
    int r = tree_parse(reader->tree, text, size, &start, reader->errors, &root);
    if (r == 0 && root && check_root(reader, root))
        reader->files[file->number].root = root;
    if (r == 0 && root)
        reader->weight += root->weight;
    return r;
}

/* 0, or -EINVAL after an error that leaves nothing more to be read. */
static int check_bounds(struct reader *reader, const struct tree_node *node)
{
    if (reader->config->n_files > CONFIG_FILES_MAX)
        reader_error(reader, &node->place, "more than %d files", CONFIG_FILES_MAX);
    else if (reader->size > TOTAL_SIZE_MAX)
        reader_error(reader, &node->place, "all files together are larger than %zu MiB",
                     TOTAL_SIZE_MAX >> 20);
    else if (reader->weight > TREE_WEIGHT_MAX)
        reader_error(reader, &node->place, "all files together hold more than %d values",
                     TREE_WEIGHT_MAX);
    else
        return 0;
    return -EINVAL;
}

static int take_text(struct reader *reader, const struct tree_node *node,
                     const struct config_file *file, const char *text, size_t size)
{
    int r = parse_file(reader, file, text, size);
    if (r == -ENOMEM) {
        no_memory(reader);
        return r;
    }
    return check_bounds(reader, node);
}

static void fail_file(struct reader *reader, const struct tree_node *node, const char *path,
                      int error)
{
    if (error == ENOMEM)
        no_memory(reader);
    else if (error == ENOENT)
        reader_error(reader, &node->place, "there is no file '%s'", path);
    else if (error == EISDIR)
        reader_error(reader, &node->place,
                     "'%s' is a directory: name the files in it, as %s%s*.yaml", path, path,
                     path[strlen(path) - 1] == '/' ? "" : "/");
    else
        reader_error(reader, &node->place, "cannot read '%s': %s", path,
                     files_describe_failure(error));
}

/* 0, or -errno where nothing more is to be read; what is wrong with the file goes to the errors. */
static int read_file(struct reader *reader, const struct tree_node *node, const char *path)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    struct source_file source;
    if (was_read(reader, path, &source))
        return 0;
    int r = fd_read_file(path, CONFIG_FILE_SIZE_MAX, &text, &size);
    if (r < 0) {
        fail_file(reader, node, path, -r);
        return r == -ENOMEM ? r : 0;
    }
    const struct config_file *file = files_add(reader, path, NULL);
    if (!file) {
        no_memory(reader);
        return -ENOMEM;
    }
    reader->files[file->number] = source;
    reader->size += size;
    r = check_bounds(reader, node);
    if (r == 0)
        r = take_text(reader, node, file, text, size);
    explicit_bzero(text, size);
    return r;
}

static int read_matches(struct reader *reader, const struct tree_node *node,
                        struct config_include *include)
{
    CLEANUP_STRV char **paths = NULL;
    CLEANUP_FREE char *reason = NULL;
    int r = glob_find(include->pattern, &paths, &reason);
    if (r == -ENOMEM)
        no_memory(reader);
    else if (r < 0)
        reader_error(reader, &node->place, "%s", reason);
    include->n_files = r < 0 ? 0 : strv_length(paths);
    for (size_t i = 0; r == 0 && i < include->n_files; i++)
        r = read_file(reader, node, paths[i]);
    return r;
}

static int read_single(struct reader *reader, const struct tree_node *node,
                       struct config_include *include)
{
    CLEANUP_FREE char *path = glob_to_path(include->pattern);
    if (!path) {
        no_memory(reader);
        return -ENOMEM;
    }
    include->n_files = 1;
    return read_file(reader, node, path);
}

/* What the directory is called is no pattern, whatever characters it has. */
static char *expand_pattern(struct reader *reader, const struct tree_node *node)
{
    CLEANUP_FREE char *here = glob_from_path(reader->file->directory), *reason = NULL,
                      *expanded = NULL;
    if (!here) {
        no_memory(reader);
        return NULL;
    }
    const struct expansion known = {
        .here = here, .host_node_name = reader->host_node_name, .environment = environ};
    int r = expand(node->text, &known, &expanded, &reason);
    if (r == -EINVAL)
        reader_error(reader, &node->place, "%s", reason);
    char *pattern = r == 0 ? path_join(here, expanded) : NULL;
    if (!pattern && r != -EINVAL)
        no_memory(reader);
    return pattern;
}

static char *read_pattern(struct reader *reader, const struct tree_node *node)
{
    char text[TREE_TEXT_SIZE];
    if (node->type != TREE_SCALAR || tree_is_null(node) || *node->text == '\0') {
        reader_error(reader, &node->place, "%s is wrong here, expected " EXPECTED,
                     node->type == TREE_SCALAR ? "nothing" : tree_describe(node, text));
        return NULL;
    }
    CLEANUP_FREE char *pattern = expand_pattern(reader, node);
    if (pattern && strlen(pattern) > PATTERN_LENGTH)
        reader_error(reader, &node->place, "longer than %d bytes, expected " EXPECTED,
                     PATTERN_LENGTH);
    else if (pattern && strstr(pattern, "**"))
        reader_error(reader, &node->place,
                     "** is not known: write a pattern for each level, as conf.d/*/*.yaml");
    else
        return TAKE_PTR(pattern);
    return NULL;
}

/* False where nothing more is to be read. */
static bool include_one(struct reader *reader, const struct tree_node *node)
{
    struct config *config = reader->config;
    CLEANUP_FREE char *pattern = read_pattern(reader, node);
    if (!pattern)
        return !reader->errors->no_memory;
    struct config_include *includes = reallocarray(config->includes, config->n_includes + 1,
                                                   sizeof(*includes));
    if (!includes) {
        no_memory(reader);
        return false;
    }
    config->includes = includes;
    struct config_include *include = &includes[config->n_includes++];
    *include = (struct config_include){.pattern = TAKE_PTR(pattern)};
    int r = glob_is_pattern(include->pattern) ? read_matches(reader, node, include)
                                              : read_single(reader, node, include);
    return r != -EINVAL && r != -ENOMEM;
}

static void read_include(struct reader *reader, const struct key *key UNUSED,
                         const struct tree_node *node, void *object UNUSED)
{
    size_t n = value_list_length(node);
    know_main_file(reader);
    if (n > PATTERNS_MAX) {
        reader_error(reader, &node->place, "more than %d patterns", PATTERNS_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (!include_one(reader, value_list_item(node, i)))
            break;
}

/* Sockets and programs are printed where they belong. */
static void print_include(struct printer *printer UNUSED, const struct key *key UNUSED,
                          const void *object UNUSED)
{
}

const struct value_type type_include = {
    .label = "list of paths", .read = read_include, .print = print_include};
