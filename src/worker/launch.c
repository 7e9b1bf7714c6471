#include "worker/launch.h"

#include "base/fd.h"
#include "base/strv.h"
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int open_null(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

static int collect_fds(const struct worker_params *params, int channel_fd, int **ret, size_t *ret_n)
{
    size_t n = params->generation->program->n_sockets;
    int *fds = calloc(n + 1, sizeof(*fds));
    if (!fds)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        fds[i] = listener_fd(params->listeners[i], params->slot);
    fds[n] = channel_fd;
    *ret = fds;
    *ret_n = n + 1;
    return 0;
}

int worker_launch(struct worker *worker, const struct worker_params *params,
                  const struct worker_command *command, int channel_fd, char **ret_error)
{
    const struct config_program *program = worker->generation->program;
    int *fds = NULL;
    CLEANUP_FREE char *executable = NULL;
    CLEANUP_FD int null_fd = open_null();
    if (null_fd < 0) {
        int error = null_fd;
        *ret_error = string_format("cannot open /dev/null: %s", strerror(-error));
        return error;
    }
    struct spawn_params spawn_params = {
        .argv = command->argv,
        .envp = command->envp,
        .directory = command->directory,
        .stdin_fd = null_fd,
        .stdout_fd = program->silent ? null_fd : -1,
        .stderr_fd = program->silent ? null_fd : -1,
        .pid_text = command->pid_text,
        .nofile = params->nofile,
    };
    if ((program->handoff & CONFIG_HANDOFF_STDIN) && program->n_sockets > 0)
        spawn_params.stdin_fd = listener_fd(params->listeners[0], params->slot);

    struct spawn_failure failure = {.step = SPAWN_STEP_EXEC};
    int r = spawn_find_executable(command->argv[0], command->directory, command->envp, &executable);
    if (r < 0) {
        failure.error = -r;
    } else {
        spawn_params.executable = executable;
        r = collect_fds(params, channel_fd, &fds, &spawn_params.n_fds);
        spawn_params.fds = fds;
        if (r == 0)
            r = spawn(&spawn_params, &worker->pid, &worker->pidfd, &failure);
    }
    if (r < 0)
        *ret_error = spawn_failure_to_text(&failure, &spawn_params);
    free(fds);
    return r;
}
