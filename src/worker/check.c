#include "worker/check.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "process/pidfd.h"
#include "process/spawn.h"
#include "worker/environment.h"
#include "worker/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define READS_AT_ONCE 8
/* Reads of up to 4 KiB in a window: what a command prints in a hurry, not what a flood does. */
#define READ_BUDGET    64
#define KILL_WAIT_MSEC 1000
#define PATIENCE_USEC  (10 * USEC_PER_SEC) /* after SIGKILL, as with a worker */

/* Output */

static void keep(struct check *check, const char *data, size_t size)
{
    if (size > CHECK_OUTPUT_MAX) {
        data += size - CHECK_OUTPUT_MAX;
        size = CHECK_OUTPUT_MAX;
        check->cut = true;
    }
    size_t room = CHECK_OUTPUT_MAX - check->n_output;
    if (size > room) {
        size_t drop = size - room;
        memmove(check->output, check->output + drop, check->n_output - drop);
        check->n_output -= drop;
        check->cut = true;
    }
    memcpy(check->output + check->n_output, data, size);
    check->n_output += size;
}

/* 1 something was there, 0 nothing now, -EPIPE: nobody has it open any more. */
static int read_some(struct check *check)
{
    char data[CHECK_OUTPUT_MAX];
    ssize_t n = read(check->output_fd, data, sizeof(data));
    if (n > 0)
        keep(check, data, (size_t)n);
    else if (n == 0)
        return -EPIPE;
    return n > 0;
}

static int on_output(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                     void *userdata)
{
    struct check *check = userdata;
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        int r = read_some(check);
        if (r <= 0)
            return r < 0 ? sd_event_source_set_enabled(source, SD_EVENT_OFF) : 0;
        if (!throttle_spend(&check->throttle, 1))
            return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    return 0;
}

static int on_resume(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct check *check = userdata;
    /* Its rest may have been read meanwhile. */
    return check->output_source ? sd_event_source_set_enabled(check->output_source, SD_EVENT_ON)
                                : 0;
}

/* Bounded by what a pipe holds, even if somebody writes on. */
static void read_rest(struct check *check)
{
    for (unsigned i = 0; i < READ_BUDGET && read_some(check) > 0; i++)
        ;
    check->output_source = sd_event_source_disable_unref(check->output_source);
}

/* A terminal would obey control characters. */
static void make_harmless(char *text)
{
    string_make_utf8(text);
    for (char *c = text; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f)
            *c = '?';
}

/* "HEADLINE:" and the output's lines behind it, or the headline alone. */
static char *with_output(const struct check *check, const char *headline)
{
    CLEANUP_FREE char *output = strndup(check->output, check->n_output);
    size_t n = output ? strlen(output) : 0;
    while (n > 0 && (output[n - 1] == '\n' || output[n - 1] == ' '))
        output[--n] = '\0';
    char *text = n == 0 ? strdup(headline)
                        : string_format("%s:\n%s%s", headline, check->cut ? "[…] " : "", output);
    if (text)
        make_harmless(text);
    return text;
}

/* The verdict */

static void kill_group(struct check *check)
{
    (void)process_signal_group(check->pid, SIGKILL);
    reaper_hurry(check->reaper);
    (void)sd_event_source_set_time(check->deadline_timer, clock_monotonic_usec() + PATIENCE_USEC);
    (void)sd_event_source_set_enabled(check->deadline_timer, SD_EVENT_ONESHOT);
}

static void fail(struct check *check, const char *headline)
{
    if (check->verdict != CHECK_RUNNING)
        return;
    check->verdict = CHECK_FAILED;
    check->failure = with_output(check, headline);
}

void check_stop(struct check *check)
{
    if (!check->gone) {
        fail(check, "check_command was stopped");
        kill_group(check);
    }
    check->generation = generation_unref(check->generation);
}

static void tell(struct check *check)
{
    if (check->changed)
        check->changed(check, check->userdata);
}

static void give_up(struct check *check)
{
    log_about((struct log_subject){.program = check->program}, LOG_LEVEL_ERROR,
              "check_command: processes of its group %d do not die of SIGKILL (of another user, or "
              "hanging in the kernel); they are left alone",
              (int)check->pid);
    if (check->reaping.exited) {
        check->reaping.whole_group = false;
        reaper_hurry(check->reaper);
        return;
    }
    reaper_disown(check->reaper, &check->reaping);
    (void)sd_event_source_set_enabled(check->exit_source, SD_EVENT_OFF);
    check->gone = true;
    tell(check);
}

/* First of what it may take; then of the patience with what was killed. */
static int on_deadline(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct check *check = userdata;
    if (check->verdict != CHECK_RUNNING) {
        give_up(check);
        return 0;
    }
    char limit[DURATION_TEXT_SIZE], headline[128];
    (void)snprintf(headline, sizeof(headline),
                   "check_command did not end within %s (start_timeout)",
                   duration_to_text(check->generation->program->start_timeout_usec, limit));
    fail(check, headline);
    kill_group(check);
    tell(check);
    return 0;
}

static void judge(struct check *check, const siginfo_t *info)
{
    char text[PROCESS_EXIT_TEXT_SIZE], headline[PROCESS_EXIT_TEXT_SIZE + 32];
    if (check->verdict != CHECK_RUNNING)
        return;
    if (info->si_code == CLD_EXITED && info->si_status == 0) {
        check->verdict = CHECK_PASSED;
        return;
    }
    process_exit_to_text(info, text);
    (void)snprintf(headline, sizeof(headline), "check_command %s%s",
                   info->si_code == CLD_EXITED ? "" : "died of ", text);
    fail(check, headline);
}

static int on_exit_of_leader(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                             void *userdata)
{
    struct check *check = userdata;
    siginfo_t info;
    if (process_peek_exit(check->pid, &info) <= 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    read_rest(check);
    judge(check, &info);
    kill_group(check);
    reaper_exited(check->reaper, &check->reaping);
    tell(check);
    return 0;
}

static void on_group_empty(void *userdata)
{
    struct check *check = userdata;
    check->gone = true;
    (void)sd_event_source_set_enabled(check->deadline_timer, SD_EVENT_OFF);
    check->pidfd = fd_close(check->pidfd);
    tell(check);
}

/* The start */

static int add_sources(struct check *check, sd_event *event)
{
    uint64_t deadline = clock_monotonic_usec() + check->generation->program->start_timeout_usec;
    int r = throttle_init(&check->throttle, event, READ_BUDGET, on_resume, check);
    if (r >= 0)
        r = sd_event_add_io(event, &check->output_source, check->output_fd, EPOLLIN, on_output,
                            check);
    if (r >= 0)
        r = sd_event_add_io(event, &check->exit_source, check->pidfd, EPOLLIN, on_exit_of_leader,
                            check);
    if (r >= 0)
        r = sd_event_add_time(event, &check->deadline_timer, CLOCK_MONOTONIC, deadline,
                              USEC_PER_MSEC, on_deadline, check);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(check->output_source, "check-output");
    (void)sd_event_source_set_description(check->exit_source, "check-exit");
    (void)sd_event_source_set_description(check->deadline_timer, "check-deadline");
    return 0;
}

static int find_and_spawn(struct check *check, const struct worker_command *command,
                          const struct pinned_place *place, struct spawn_params *params,
                          char **ret_error)
{
    CLEANUP_FREE char *executable = NULL;
    struct spawn_failure failure = {.step = SPAWN_STEP_DIRECTORY, .error = -place->fd};
    int r = place->fd < 0 ? place->fd : 0;
    if (r == 0) {
        r = spawn_find_executable(command->argv[0], place->directory, command->envp, &executable);
        failure = (struct spawn_failure){.step = SPAWN_STEP_EXEC, .error = -r};
    }
    params->executable = executable;
    if (r == 0)
        r = spawn(params, &check->pid, &check->pidfd, &failure);
    if (r < 0)
        *ret_error = spawn_failure_to_text(&failure, params);
    return r;
}

/* The first slot's directory stands for all. */
static int launch(struct check *check, const struct check_params *params, int output_fd,
                  char **ret_error)
{
    CLEANUP(worker_command_clear) struct worker_command command = {0};
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    CLEANUP_FREE char *directory = NULL;
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (null_fd < 0)
        return -errno;
    int r = worker_make_check(check->generation, &command, ret_error);
    if (r == 0)
        r = worker_make_directory(check->generation, 0, &directory, ret_error);
    if (r == 0)
        r = pins_enter(check->generation->pins, directory, &place);
    if (r < 0)
        return r;
    struct worker_identity identity;
    worker_identity_init(&identity, &check->generation->program->identity, 0);
    struct spawn_params spawn_params = {
        .argv = command.argv,
        .envp = command.envp,
        .directory = place.directory,
        .directory_fd = MAX(place.fd, 0),
        .stdin_fd = null_fd,
        .stdout_fd = output_fd,
        .stderr_fd = output_fd,
        .nofile = params->nofile,
        .identity = &identity.identity,
    };
    return find_and_spawn(check, &command, &place, &spawn_params, ret_error);
}

static int start(struct check *check, const struct check_params *params, char **ret_error)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    CLEANUP_FD int write_fd = pipe_fds[1];
    check->output_fd = pipe_fds[0];
    /* Of our end alone: what the command writes to is as it expects it. */
    if (fcntl(check->output_fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    int r = launch(check, params, write_fd, ret_error);
    if (r < 0)
        return r;
    check->reaping.leader = check->pid;
    reaper_add(check->reaper, &check->reaping);
    return add_sources(check, params->event);
}

int check_new(const struct check_params *params, struct check **ret, char **ret_error)
{
    CLEANUP(check_freep) struct check *check = calloc(1, sizeof(*check));
    if (!check)
        return -ENOMEM;
    check->reaper = params->reaper;
    check->generation = generation_ref(params->generation);
    check->changed = params->changed;
    check->userdata = params->userdata;
    check->pidfd = check->output_fd = -1;
    check->reaping = (struct reaper_entry){
        .whole_group = true, .empty = on_group_empty, .userdata = check};
    list_init(&check->link);
    check->program = strdup(params->generation->program->name);
    if (!check->program)
        return -ENOMEM;
    CLEANUP_FREE char *reason = NULL;
    int r = start(check, params, &reason);
    if (r < 0) {
        *ret_error = string_format("check_command: %s", reason ? reason : strerror(-r));
        return r;
    }
    *ret = TAKE_PTR(check);
    return 0;
}

/* As for a worker: SIGKILL ends it within moments. */
static void end_now(struct check *check)
{
    struct pollfd poll_fd = {.fd = check->pidfd, .events = POLLIN};
    (void)process_signal_group(check->pid, SIGKILL);
    (void)poll(&poll_fd, 1, KILL_WAIT_MSEC);
    check->reaping.exited = true;
    reaper_remove(check->reaper, &check->reaping);
}

struct check *check_free(struct check *check)
{
    if (!check)
        return NULL;
    if (check->pid > 0 && !check->gone)
        end_now(check);
    list_remove(&check->link);
    (void)sd_event_source_disable_unref(check->exit_source);
    (void)sd_event_source_disable_unref(check->output_source);
    (void)sd_event_source_disable_unref(check->deadline_timer);
    throttle_clear(&check->throttle);
    (void)fd_close(check->pidfd);
    (void)fd_close(check->output_fd);
    (void)generation_unref(check->generation);
    free(check->program);
    free(check->failure);
    free(check);
    return NULL;
}
