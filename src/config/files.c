#include "config/files.h"

#include "base/strv.h"
#include "config/paths.h"

#include <errno.h>
#include <string.h>

static struct config_file *file_free(struct config_file *file)
{
    if (!file)
        return NULL;
    free(file->path);
    free(file->directory);
    free(file);
    return NULL;
}
DEFINE_FREEP(struct config_file *, file_free)

static struct config_file *file_new(const char *path, const char *directory, size_t number)
{
    CLEANUP(file_freep) struct config_file *file = calloc(1, sizeof(*file));
    if (!file)
        return NULL;
    file->number = (unsigned)number;
    file->path = path ? strdup(path) : NULL;
    file->directory = path ? path_directory(path) : strdup(directory);
    if ((path && !file->path) || !file->directory)
        return NULL;
    return TAKE_PTR(file);
}

const struct config_file *files_add(struct reader *reader, const char *path, const char *directory)
{
    struct config *config = reader->config;
    size_t n = config->n_files;
    struct config_file **files = reallocarray(config->files, n + 2, sizeof(*files));
    if (!files)
        return NULL;
    config->files = files;
    files[n] = NULL;
    struct source_file *sources = reallocarray(reader->files, n + 1, sizeof(*sources));
    if (!sources)
        return NULL;
    reader->files = sources;
    sources[n] = (struct source_file){0};
    files[n] = file_new(path, directory, n);
    if (!files[n])
        return NULL;
    files[n + 1] = NULL;
    config->n_files++;
    return files[n];
}

void files_free(struct config *config)
{
    for (size_t i = 0; i < config->n_files; i++)
        (void)file_free(config->files[i]);
    free(config->files);
    for (size_t i = 0; i < config->n_includes; i++)
        free(config->includes[i].pattern);
    free(config->includes);
}

const char *config_file_name(const struct config_file *file)
{
    return file->path ? file->path : "command line";
}

const char *files_describe_failure(int error)
{
    switch (error) {
    case EISDIR:
        return "this is a directory, expected a file";
    case ENOTSUP:
        return "this is no regular file (a FIFO or a device?)";
    case EFBIG:
        return "this file is larger than 1 MiB";
    }
    return strerror(error);
}

static bool is_of_include(const char *set)
{
    return string_starts_with(set, "include") && strchr("=.", set[strlen("include")]);
}

/* All wrong ones are said together. */
int files_apply_sets(struct reader *reader, char *const *sets, bool of_include)
{
    int r = 0;
    STRV_FOREACH (set, sets) {
        if (is_of_include(*set) != of_include)
            continue;
        int r_set = tree_set(reader->tree, *set, reader->errors);
        if (r_set == -ENOMEM)
            return r_set;
        r = r_set < 0 ? r_set : r;
    }
    return r;
}
