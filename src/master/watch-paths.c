#include "master/watch-paths.h"

#include "base/pattern.h"
#include "base/strv.h"
#include "config/expand.h"
#include "config/paths.h"
#include "process/spawn.h"
#include "worker/environment.h"

#include <errno.h>
#include <string.h>

static int add(char ***paths, char *path)
{
    if (!path)
        return -ENOMEM;
    if (!strv_contains(*paths, path))
        return strv_consume(paths, path);
    free(path);
    return 0;
}

/* The directory is a fact: what looks like a wildcard in it is none. */
static int add_configured(const struct config_program *program, const char *directory,
                          char ***paths)
{
    CLEANUP_FREE char *quoted = pattern_quote(directory);
    if (!quoted)
        return -ENOMEM;
    STRV_FOREACH (path, program->watch_paths) {
        int r = add(paths, path_join(quoted, *path));
        if (r < 0)
            return r;
    }
    return 0;
}

/* By its configured path, not by where that leads now. */
static int add_program_file(const struct pinned_place *place, const struct worker_command *command,
                            char ***paths)
{
    CLEANUP_FREE char *executable = NULL;
    int r = spawn_find_executable(command->argv[0], place->configured, command->envp, &executable);
    if (r == -ENOMEM)
        return r;
    const char *name = executable ? pinned_place_find_program(place, command->argv, executable)
                                  : NULL;
    CLEANUP_FREE char *path = name ? path_join(place->configured, name) : NULL;
    if (!name)
        return 0;
    return path ? add(paths, pattern_quote(path)) : -ENOMEM;
}

static int add_slot(struct generation *generation, unsigned slot, char ***paths, char **ret_error)
{
    CLEANUP_FREE char *directory = NULL;
    CLEANUP(worker_command_clear) struct worker_command command = {0};
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    const struct worker_place worker = {.generation = generation, .slot = slot, .notify_path = ""};
    int r = worker_make_directory(generation, slot, &directory, ret_error);
    if (r == 0)
        r = worker_make_command(&worker, &command, ret_error);
    if (r == 0)
        r = pins_enter(generation->pins, directory, &place);
    if (r == 0)
        r = add_program_file(&place, &command, paths);
    if (r == 0)
        r = add_configured(generation->program, directory, paths);
    return r;
}

int watch_paths_of_program(struct generation *generation, char ***ret, char **ret_error)
{
    const struct config_program *program = generation->program;
    unsigned slots = expand_uses(program->directory, "process_num") ? program->workers : 1;
    CLEANUP_STRV char **paths = NULL;
    for (unsigned slot = 0; slot < slots; slot++) {
        int r = add_slot(generation, slot, &paths, ret_error);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(paths);
    return 0;
}

/* Does a bracket that is open here close in the same name? */
static bool is_bracket(const char *text)
{
    size_t n = strcspn(text, "/");
    return n > 2 && memchr(text + 2, ']', n - 2) != NULL;
}

/* A pattern of `include` has no backslashes and braces but those that stand for themselves. */
static char *from_include(const char *pattern)
{
    char *quoted = malloc(2 * strlen(pattern) + 1), *to = quoted;
    for (; quoted && *pattern != '\0'; pattern++) {
        if (*pattern == '\\' || *pattern == '{' || (*pattern == '[' && !is_bracket(pattern)))
            *to++ = '\\';
        *to++ = *pattern;
    }
    if (quoted)
        *to = '\0';
    return quoted;
}

int watch_paths_of_config(const struct config *config, char ***ret)
{
    CLEANUP_STRV char **paths = NULL;
    int r = add(&paths, pattern_quote(config->path));
    for (size_t i = 0; r == 0 && i < config->n_includes; i++)
        r = add(&paths, from_include(config->includes[i].pattern));
    if (r == 0)
        *ret = TAKE_PTR(paths);
    return r;
}
