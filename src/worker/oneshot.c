#include "worker/oneshot.h"

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

static void keep(struct oneshot *oneshot, const char *data, size_t size)
{
    if (size > ONESHOT_OUTPUT_MAX) {
        data += size - ONESHOT_OUTPUT_MAX;
        size = ONESHOT_OUTPUT_MAX;
        oneshot->cut = true;
    }
    size_t room = ONESHOT_OUTPUT_MAX - oneshot->n_output;
    if (size > room) {
        size_t drop = size - room;
        memmove(oneshot->output, oneshot->output + drop, oneshot->n_output - drop);
        oneshot->n_output -= drop;
        oneshot->cut = true;
    }
    memcpy(oneshot->output + oneshot->n_output, data, size);
    oneshot->n_output += size;
}

/* 1 something was there, 0 nothing now, -EPIPE: nobody has it open any more. */
static int read_some(struct oneshot *oneshot)
{
    char data[ONESHOT_OUTPUT_MAX];
    ssize_t n = read(oneshot->output_fd, data, sizeof(data));
    if (n > 0)
        keep(oneshot, data, (size_t)n);
    else if (n == 0)
        return -EPIPE;
    return n > 0;
}

static int on_output(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                     void *userdata)
{
    struct oneshot *oneshot = userdata;
    for (unsigned i = 0; i < READS_AT_ONCE; i++) {
        int r = read_some(oneshot);
        if (r <= 0)
            return r < 0 ? sd_event_source_set_enabled(source, SD_EVENT_OFF) : 0;
        if (!throttle_spend(&oneshot->throttle, 1))
            return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    }
    return 0;
}

static int on_resume(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct oneshot *oneshot = userdata;
    /* Its rest may have been read meanwhile. */
    return oneshot->output_source ? sd_event_source_set_enabled(oneshot->output_source, SD_EVENT_ON)
                                  : 0;
}

/* Bounded by what a pipe holds, even if somebody writes on. */
static void read_rest(struct oneshot *oneshot)
{
    for (unsigned i = 0; i < READ_BUDGET && read_some(oneshot) > 0; i++)
        ;
    oneshot->output_source = sd_event_source_disable_unref(oneshot->output_source);
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
static char *with_output(const struct oneshot *oneshot, const char *headline)
{
    CLEANUP_FREE char *output = strndup(oneshot->output, oneshot->n_output);
    size_t n = output ? strlen(output) : 0;
    while (n > 0 && (output[n - 1] == '\n' || output[n - 1] == ' '))
        output[--n] = '\0';
    char *text = n == 0 ? strdup(headline)
                        : string_format("%s:\n%s%s", headline, oneshot->cut ? "[…] " : "", output);
    if (text)
        make_harmless(text);
    return text;
}

/* The verdict */

static void kill_group(struct oneshot *oneshot)
{
    (void)process_signal_group(oneshot->pid, SIGKILL);
    reaper_hurry(oneshot->reaper);
    (void)sd_event_source_set_time(oneshot->deadline_timer, clock_monotonic_usec() + PATIENCE_USEC);
    (void)sd_event_source_set_enabled(oneshot->deadline_timer, SD_EVENT_ONESHOT);
}

static void fail(struct oneshot *oneshot, const char *headline)
{
    if (oneshot->verdict != ONESHOT_RUNNING)
        return;
    oneshot->verdict = ONESHOT_FAILED;
    oneshot->failure = with_output(oneshot, headline);
}

void oneshot_stop(struct oneshot *oneshot)
{
    char headline[128];
    if (!oneshot->gone) {
        (void)snprintf(headline, sizeof(headline), "%s was stopped", oneshot->name);
        fail(oneshot, headline);
        kill_group(oneshot);
    }
    oneshot->generation = generation_unref(oneshot->generation);
}

static void tell(struct oneshot *oneshot)
{
    if (oneshot->changed)
        oneshot->changed(oneshot, oneshot->userdata);
}

static void give_up(struct oneshot *oneshot)
{
    log_about((struct log_subject){.program = oneshot->program}, LOG_LEVEL_ERROR,
              "%s: processes of its group %d do not die of SIGKILL (of another user, or hanging in "
              "the kernel); they are left alone",
              oneshot->name, (int)oneshot->pid);
    if (oneshot->reaping.exited) {
        oneshot->reaping.whole_group = false;
        reaper_hurry(oneshot->reaper);
        return;
    }
    reaper_disown(oneshot->reaper, &oneshot->reaping);
    (void)sd_event_source_set_enabled(oneshot->exit_source, SD_EVENT_OFF);
    oneshot->gone = true;
    tell(oneshot);
}

/* First of what it may take; then of the patience with what was killed. */
static int on_deadline(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct oneshot *oneshot = userdata;
    if (oneshot->verdict != ONESHOT_RUNNING) {
        give_up(oneshot);
        return 0;
    }
    char limit[DURATION_TEXT_SIZE], headline[128];
    const char *key = oneshot->limit_key;
    (void)snprintf(headline, sizeof(headline), "%s did not end within %s%s%s%s", oneshot->name,
                   duration_to_text(oneshot->limit_usec, limit), key ? " (" : "", key ? key : "",
                   key ? ")" : "");
    fail(oneshot, headline);
    kill_group(oneshot);
    tell(oneshot);
    return 0;
}

static void judge(struct oneshot *oneshot, const siginfo_t *info)
{
    char text[PROCESS_EXIT_TEXT_SIZE], headline[PROCESS_EXIT_TEXT_SIZE + 64];
    if (oneshot->verdict != ONESHOT_RUNNING)
        return;
    if (info->si_code == CLD_EXITED && info->si_status == 0) {
        oneshot->verdict = ONESHOT_PASSED;
        return;
    }
    process_exit_to_text(info, text);
    (void)snprintf(headline, sizeof(headline), "%s %s%s", oneshot->name,
                   info->si_code == CLD_EXITED ? "" : "died of ", text);
    fail(oneshot, headline);
}

static int on_exit_of_leader(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                             void *userdata)
{
    struct oneshot *oneshot = userdata;
    siginfo_t info;
    if (process_peek_exit(oneshot->pid, &info) <= 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    read_rest(oneshot);
    judge(oneshot, &info);
    kill_group(oneshot);
    reaper_exited(oneshot->reaper, &oneshot->reaping);
    tell(oneshot);
    return 0;
}

static void on_group_empty(void *userdata)
{
    struct oneshot *oneshot = userdata;
    oneshot->gone = true;
    (void)sd_event_source_set_enabled(oneshot->deadline_timer, SD_EVENT_OFF);
    oneshot->pidfd = fd_close(oneshot->pidfd);
    tell(oneshot);
}

/* The start */

static int add_sources(struct oneshot *oneshot, sd_event *event)
{
    uint64_t deadline = clock_monotonic_usec() + oneshot->limit_usec;
    int r = throttle_init(&oneshot->throttle, event, READ_BUDGET, on_resume, oneshot);
    if (r >= 0)
        r = sd_event_add_io(event, &oneshot->output_source, oneshot->output_fd, EPOLLIN, on_output,
                            oneshot);
    if (r >= 0)
        r = sd_event_add_io(event, &oneshot->exit_source, oneshot->pidfd, EPOLLIN,
                            on_exit_of_leader, oneshot);
    if (r >= 0)
        r = sd_event_add_time(event, &oneshot->deadline_timer, CLOCK_MONOTONIC, deadline,
                              USEC_PER_MSEC, on_deadline, oneshot);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(oneshot->output_source, "oneshot-output");
    (void)sd_event_source_set_description(oneshot->exit_source, "oneshot-exit");
    (void)sd_event_source_set_description(oneshot->deadline_timer, "oneshot-deadline");
    return 0;
}

static int find_and_spawn(struct oneshot *oneshot, const struct worker_command *command,
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
        r = spawn(params, &oneshot->pid, &oneshot->pidfd, &failure);
    if (r < 0)
        *ret_error = spawn_failure_to_text(&failure, params);
    return r;
}

/* The first slot's directory stands for all. */
static int launch(struct oneshot *oneshot, const struct oneshot_params *params, int output_fd,
                  char **ret_error)
{
    CLEANUP(worker_command_clear) struct worker_command command = {0};
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    CLEANUP_FREE char *directory = NULL;
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (null_fd < 0)
        return -errno;
    int r = worker_make_oneshot(oneshot->generation, &params->command, &command, ret_error);
    if (r == 0)
        r = worker_make_directory(oneshot->generation, 0, &directory, ret_error);
    if (r == 0)
        r = pins_enter(oneshot->generation->pins, directory, &place);
    if (r < 0)
        return r;
    struct worker_identity identity;
    worker_identity_init(&identity, &oneshot->generation->program->identity, 0);
    struct spawn_params spawn_params = {
        .argv = command.argv,
        .envp = command.envp,
        .directory = place.directory,
        .directory_fd = MAX(place.fd, 0),
        .stdin_fd = params->stdin_fd >= 0 ? params->stdin_fd : null_fd,
        .stdout_fd = output_fd,
        .stderr_fd = output_fd,
        .nofile = params->nofile,
        .identity = &identity.identity,
    };
    return find_and_spawn(oneshot, &command, &place, &spawn_params, ret_error);
}

static int start(struct oneshot *oneshot, const struct oneshot_params *params, char **ret_error)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    CLEANUP_FD int write_fd = pipe_fds[1];
    oneshot->output_fd = pipe_fds[0];
    /* Of our end alone: what the command writes to is as it expects it. */
    if (fcntl(oneshot->output_fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    int r = launch(oneshot, params, write_fd, ret_error);
    if (r < 0)
        return r;
    oneshot->reaping.leader = oneshot->pid;
    reaper_add(oneshot->reaper, &oneshot->reaping);
    return add_sources(oneshot, params->event);
}

int oneshot_new(const struct oneshot_params *params, struct oneshot **ret, char **ret_error)
{
    CLEANUP(oneshot_freep) struct oneshot *oneshot = calloc(1, sizeof(*oneshot));
    if (!oneshot)
        return -ENOMEM;
    oneshot->reaper = params->reaper;
    oneshot->generation = generation_ref(params->generation);
    oneshot->name = params->command.name;
    oneshot->limit_usec = params->limit_usec;
    oneshot->limit_key = params->limit_key;
    oneshot->changed = params->changed;
    oneshot->userdata = params->userdata;
    oneshot->pidfd = oneshot->output_fd = -1;
    oneshot->reaping = (struct reaper_entry){
        .whole_group = true, .empty = on_group_empty, .userdata = oneshot};
    list_init(&oneshot->link);
    oneshot->program = strdup(params->generation->program->name);
    if (!oneshot->program)
        return -ENOMEM;
    CLEANUP_FREE char *reason = NULL;
    int r = start(oneshot, params, &reason);
    if (r < 0) {
        *ret_error = string_format("%s: %s", oneshot->name, reason ? reason : strerror(-r));
        return r;
    }
    *ret = TAKE_PTR(oneshot);
    return 0;
}

/* As for a worker: SIGKILL ends it within moments. */
static void end_now(struct oneshot *oneshot)
{
    struct pollfd poll_fd = {.fd = oneshot->pidfd, .events = POLLIN};
    (void)process_signal_group(oneshot->pid, SIGKILL);
    (void)poll(&poll_fd, 1, KILL_WAIT_MSEC);
    oneshot->reaping.exited = true;
    reaper_remove(oneshot->reaper, &oneshot->reaping);
}

struct oneshot *oneshot_leave(struct oneshot *oneshot)
{
    if (oneshot && oneshot->pid > 0 && !oneshot->gone) {
        reaper_disown(oneshot->reaper, &oneshot->reaping);
        oneshot->gone = true;
    }
    return oneshot_free(oneshot);
}

struct oneshot *oneshot_free(struct oneshot *oneshot)
{
    if (!oneshot)
        return NULL;
    if (oneshot->pid > 0 && !oneshot->gone)
        end_now(oneshot);
    list_remove(&oneshot->link);
    (void)sd_event_source_disable_unref(oneshot->exit_source);
    (void)sd_event_source_disable_unref(oneshot->output_source);
    (void)sd_event_source_disable_unref(oneshot->deadline_timer);
    throttle_clear(&oneshot->throttle);
    (void)fd_close(oneshot->pidfd);
    (void)fd_close(oneshot->output_fd);
    (void)generation_unref(oneshot->generation);
    free(oneshot->program);
    free(oneshot->failure);
    free(oneshot);
    return NULL;
}
