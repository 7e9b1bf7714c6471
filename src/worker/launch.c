#include "worker/launch.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "process/spawn.h"
#include "worker/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int open_null(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

static int collect_fds(const struct worker_params *params, int channel_fd, int **ret, size_t *ret_n)
{
    size_t n = worker_inherited(params->generation->program);
    int *fds = calloc(n + 1, sizeof(*fds));
    if (!fds)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        fds[i] = listener_fd(params->generation->listeners[i], params->slot);
    fds[n] = channel_fd;
    *ret = fds;
    *ret_n = n + 1;
    return 0;
}

/* Finds the executable, and looks whether all is still what the generation began with. */
static int find_program(struct worker *worker, const struct worker_command *command,
                        struct pinned_place *place, char **ret)
{
    CLEANUP_FREE char *executable = NULL;
    int r = spawn_find_executable(command->argv[0], place->directory, command->envp, &executable);
    if (r == 0)
        r = pins_compare_program(worker->generation->pins, place, command->argv, executable);
    if (r < 0)
        return r;
    worker->mixed = place->mixed;
    if (place->mixed)
        log_about(worker_subject(worker), LOG_LEVEL_WARNING, "mixed: %s", place->remark);
    *ret = TAKE_PTR(executable);
    return 0;
}

static int spawn_with_fds(struct worker *worker, const struct worker_params *params, int channel_fd,
                          struct spawn_params *spawn_params, struct spawn_failure *ret_failure)
{
    int *fds = NULL;
    int r = collect_fds(params, channel_fd, &fds, &spawn_params->n_fds);
    if (r < 0) {
        *ret_failure = (struct spawn_failure){.step = SPAWN_STEP_CLONE, .error = -r};
        return r;
    }
    spawn_params->fds = fds;
    r = spawn(spawn_params, &worker->pid, &worker->pidfd, ret_failure);
    free(fds);
    return r;
}

static int find_and_spawn(struct worker *worker, const struct worker_params *params,
                          const struct worker_command *command, int channel_fd,
                          struct pinned_place *place, struct spawn_params *spawn_params,
                          char **ret_error)
{
    CLEANUP_FREE char *executable = NULL;
    struct spawn_failure failure = {.step = SPAWN_STEP_DIRECTORY, .error = -place->fd};
    int r = place->fd < 0 ? place->fd : 0;
    if (r == 0) {
        r = find_program(worker, command, place, &executable);
        failure = (struct spawn_failure){.step = SPAWN_STEP_EXEC, .error = -r};
    }
    spawn_params->executable = executable;
    if (r == 0)
        r = spawn_with_fds(worker, params, channel_fd, spawn_params, &failure);
    if (r < 0)
        *ret_error = spawn_failure_to_text(&failure, spawn_params);
    return r;
}

/* What becomes its fd 0. */
struct input {
    int fd;       /* borrowed, or: */
    int read_fd;  /* of its pipe; -1: there is none */
    int write_fd; /* likewise; who writes there must not be held up */
};

static void input_clear(struct input *input)
{
    (void)fd_close(input->read_fd);
    (void)fd_close(input->write_fd);
}

static int make_pipe(struct input *input)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    *input = (struct input){.fd = fds[0], .read_fd = fds[0], .write_fd = fds[1]};
    return fd_set_nonblocking(input->write_fd, true);
}

static int make_input(const struct worker_params *params, int null_fd, struct input *input,
                      char **ret_error)
{
    const struct config_program *program = params->generation->program;
    input->fd = null_fd;
    if ((program->handoff & CONFIG_HANDOFF_STDIN) && program->n_sockets > 0)
        input->fd = listener_fd(params->generation->listeners[0], params->slot);
    if (program->input != CONFIG_INPUT_PIPE)
        return 0;
    int r = make_pipe(input);
    if (r < 0)
        *ret_error = string_format("cannot make a pipe for its stdin: %s", strerror(-r));
    return r;
}

int worker_launch(struct worker *worker, const struct worker_params *params,
                  const struct worker_command *command, int channel_fd, char **ret_error)
{
    const struct config_program *program = worker->generation->program;
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    CLEANUP_FREE char *directory = NULL;
    CLEANUP_FD int null_fd = open_null();
    if (null_fd < 0) {
        int error = null_fd;
        *ret_error = string_format("cannot open /dev/null: %s", strerror(-error));
        return error;
    }
    CLEANUP(output_clear) struct output output = {0};
    int r = output_make(worker->generation, worker->slot, worker->name, null_fd, &output,
                        ret_error);
    CLEANUP(input_clear) struct input input = {.read_fd = -1, .write_fd = -1};
    if (r == 0)
        r = make_input(params, null_fd, &input, ret_error);
    if (r == 0)
        r = worker_make_directory(worker->generation, worker->slot, &directory, ret_error);
    if (r == 0)
        r = pins_enter(worker->generation->pins, directory, &place);
    if (r < 0)
        return r;
    struct worker_identity identity;
    worker_identity_init(&identity, &program->identity, worker->slot);
    struct spawn_params spawn_params = {
        .argv = command->argv,
        .envp = command->envp,
        .directory = place.directory,
        .directory_fd = MAX(place.fd, 0),
        .stdin_fd = input.fd,
        .stdout_fd = output.fds[CONFIG_STDOUT],
        .stderr_fd = output.fds[CONFIG_STDERR],
        .pid_texts = {command->pid_texts[0], command->pid_texts[1]},
        .nofile = params->nofile,
        .identity = &identity.identity,
    };
    r = find_and_spawn(worker, params, command, channel_fd, &place, &spawn_params, ret_error);
    if (r < 0)
        return r;
    worker->input_fd = TAKE_FD(input.write_fd);
    output_hand(&output, worker->pid, params->output);
    return 0;
}
