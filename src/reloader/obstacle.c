#include "reloader/obstacle.h"

#include "base/strv.h"
#include "config/expand.h"
#include "process/spawn.h"
#include "worker/environment.h"

#include <errno.h>
#include <paths.h>
#include <string.h>
#include <unistd.h>

/* Which PATH that is: the file's, of environment_file, or our own. */
static char *add_search(char *text, const struct worker_command *command)
{
    const char *search = strv_env_get(command->envp, "PATH");
    char *longer = text ? string_format("%s, which is %s", text, search ? search : _PATH_STDPATH)
                        : NULL;
    free(text);
    return longer;
}

static char *describe(int error, const struct worker_command *command)
{
    const struct spawn_failure failure = {.step = SPAWN_STEP_EXEC, .error = error};
    const struct spawn_params params = {.argv = command->argv};
    char *text = spawn_failure_to_text(&failure, &params);
    bool searched = error == ENOENT && !strchr(command->argv[0], '/');
    return searched ? add_search(text, command) : text;
}

/* As a worker's launch looks for it. */
static int look(const struct generation *generation, char **ret_obstacle)
{
    const struct oneshot_command words = {
        .name = "command", .key = "command", .words = generation->program->command};
    CLEANUP_FREE char *directory = NULL, *executable = NULL;
    CLEANUP(worker_command_clear) struct worker_command command = {0};
    int r = worker_make_directory(generation, 0, &directory, ret_obstacle);
    if (r == 0)
        r = worker_make_oneshot(generation, &words, &command, ret_obstacle);
    if (r < 0)
        return r;
    r = spawn_find_executable(command.argv[0], directory, command.envp, &executable);
    if (r < 0)
        *ret_obstacle = describe(-r, &command);
    return r;
}

/* Which generation is the first one, and whether it is there by then, nobody knows here. */
static bool depends_on_generation(const struct config_program *program)
{
    for (size_t i = 0; program->environment && program->environment[i]; i++)
        if (string_starts_with(program->environment[i], "PATH=") &&
            expand_uses(program->environment[i], "generation"))
            return true;
    return expand_uses(program->command[0], "generation") ||
           (program->directory && expand_uses(program->directory, "generation"));
}

char *obstacle_find(struct config *config, const struct config_program *program)
{
    CLEANUP(generation_unrefp) struct generation *generation = NULL;
    char *obstacle = NULL;
    if (depends_on_generation(program))
        return NULL;
    int r = generation_new(config, program, 1, NULL, environ, &generation, &obstacle);
    if (r == 0)
        r = look(generation, &obstacle);
    return r < 0 && !obstacle ? strdup(strerror(-r)) : obstacle;
}
