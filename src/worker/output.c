#include "worker/output.h"

#include "base/fd.h"
#include "base/strv.h"
#include "worker/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * It bridges the moment until a reloader-log that was killed has been replaced. Only root's: of an ordinary user's pipes together the kernel
 * allows 64 MiB, and beyond that gives even new ones two pages.
 */
#define PIPE_SIZE (256 * 1024)

const char *output_stream_name(enum config_stream stream)
{
    switch (stream) {
    case CONFIG_STDOUT:
        return "stdout";
    case CONFIG_STDERR:
        return "stderr";
    }
    return "?";
}

static int make_pipe(struct output_pipe *pipe)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pipe->read_fd = fds[0];
    pipe->write_fd = fds[1];
    if (geteuid() == 0)
        (void)fcntl(pipe->write_fd, F_SETPIPE_SZ, PIPE_SIZE);
    return fd_set_nonblocking(pipe->read_fd, true);
}

int output_make_path(const struct generation *generation, unsigned slot, enum config_stream stream,
                     char **ret, char **ret_error)
{
    const struct config_output *settings = &generation->program->output[stream];
    if (settings->to != CONFIG_OUTPUT_FILE) {
        *ret = NULL;
        return 0;
    }
    if (settings->path)
        return worker_make_output_path(generation, slot, stream, ret, ret_error);
    char *path = string_format("%s/%s-%u.%s.log", generation->config->log_directory,
                               generation->program->name, slot, output_stream_name(stream));
    if (!path)
        return -ENOMEM;
    *ret = path;
    return 0;
}

static int pipe_new(struct generation *generation, unsigned slot, const char *worker,
                    enum config_stream stream, struct output_pipe **ret, char **ret_error)
{
    CLEANUP(output_pipe_freep) struct output_pipe *pipe = calloc(1, sizeof(*pipe));
    if (!pipe)
        return -ENOMEM;
    *pipe = (struct output_pipe){
        .read_fd = -1,
        .write_fd = -1,
        .stream = stream,
        .generation = generation_ref(generation),
        .slot = slot,
        .worker = strdup(worker),
        .settings = &generation->program->output[stream],
    };
    list_init(&pipe->link);
    int r = pipe->worker ? output_make_path(generation, slot, stream, &pipe->path, ret_error)
                         : -ENOMEM;
    if (r < 0)
        return r;
    r = make_pipe(pipe);
    if (r < 0) {
        *ret_error = string_format("cannot make a pipe for its %s: %s", output_stream_name(stream),
                                   strerror(-r));
        return r;
    }
    *ret = TAKE_PTR(pipe);
    return 0;
}

struct output_pipe *output_pipe_free(struct output_pipe *pipe)
{
    if (!pipe)
        return NULL;
    list_remove(&pipe->link);
    (void)fd_close(pipe->read_fd);
    (void)fd_close(pipe->write_fd);
    (void)generation_unref(pipe->generation);
    free(pipe->worker);
    free(pipe->path);
    free(pipe);
    return NULL;
}

struct log_subject output_pipe_subject(const struct output_pipe *pipe)
{
    return (struct log_subject){
        .program = pipe->generation->program->name,
        .worker = pipe->worker,
        .slot = pipe->slot,
        .generation = pipe->generation->number,
        .pid = pipe->pid,
    };
}

static int make_stream(struct generation *generation, unsigned slot, const char *worker,
                       int null_fd, enum config_stream stream, struct output *output,
                       char **ret_error)
{
    const struct config_output *settings = &generation->program->output[stream];
    output->fds[stream] = settings->to == CONFIG_OUTPUT_NULL ? null_fd : -1;
    if (!config_output_is_logged(settings))
        return 0;
    int r = pipe_new(generation, slot, worker, stream, &output->pipes[stream], ret_error);
    if (r == 0)
        output->fds[stream] = output->pipes[stream]->write_fd;
    return r;
}

int output_make(struct generation *generation, unsigned slot, const char *worker, int null_fd,
                struct output *ret, char **ret_error)
{
    CLEANUP(output_clear) struct output output = {0};
    int r = make_stream(generation, slot, worker, null_fd, CONFIG_STDOUT, &output, ret_error);
    if (r == 0 && !generation->program->redirect_stderr)
        r = make_stream(generation, slot, worker, null_fd, CONFIG_STDERR, &output, ret_error);
    if (r < 0)
        return r;
    if (generation->program->redirect_stderr)
        output.fds[CONFIG_STDERR] = output.fds[CONFIG_STDOUT] < 0 ? STDOUT_FILENO
                                                                  : output.fds[CONFIG_STDOUT];
    *ret = output;
    output = (struct output){0};
    return 0;
}

void output_hand(struct output *output, pid_t pid, const struct output_sink *sink)
{
    for (size_t i = 0; i < CONFIG_STREAMS; i++) {
        struct output_pipe *pipe = TAKE_PTR(output->pipes[i]);
        if (!pipe)
            continue;
        pipe->write_fd = fd_close(pipe->write_fd);
        pipe->pid = pid;
        sink->take(pipe, sink->userdata);
    }
}

void output_clear(struct output *output)
{
    for (size_t i = 0; i < CONFIG_STREAMS; i++)
        output->pipes[i] = output_pipe_free(output->pipes[i]);
}
