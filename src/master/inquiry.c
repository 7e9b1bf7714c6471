/* An inquiry is freed when its process has been reaped, or where it has none. */
#include "master/inquiry.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"
#include "master/helper.h"
#include "master/master.h"
#include "master/why.h"
#include "process/pidfd.h"
#include "process/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM        "reloader-why"
#define INQUIRIES_MAX  256 /* that run or wait for their turn */
#define RUNNING_MAX    2
#define PATIENCE_USEC  (5 * USEC_PER_SEC)
#define OUTPUT_MAX     ((size_t)1 << 20)
#define READS_AT_ONCE  4
#define KILL_WAIT_MSEC 1000

void inquiries_init(struct inquiries *inquiries)
{
    *inquiries = (struct inquiries){0};
    list_init(&inquiries->list);
}

/* It has no process (any more). */
static void drop(struct inquiry *inquiry)
{
    struct inquiries *inquiries = &inquiry->master->inquiries;
    list_remove(&inquiry->link);
    inquiries->n--;
    inquiries->running -= inquiry->pid > 0;
    (void)sd_event_source_disable_unref(inquiry->exit_source);
    (void)sd_event_source_disable_unref(inquiry->output_source);
    (void)sd_event_source_disable_unref(inquiry->deadline_timer);
    (void)fd_close(inquiry->pidfd);
    (void)fd_close(inquiry->output_fd);
    buffer_clear(&inquiry->output);
    free(inquiry->subjects);
    free(inquiry);
}

const char *inquiry_explain(int r)
{
    switch (-r) {
    case ENOENT:
        return PROGRAM " is not installed beside reloader";
    case EBUSY:
        return "too many others ask the same";
    default:
        return strerror(-r);
    }
}

/* Its output */

/* 1 something was there, 0 nothing now, -EPIPE: nobody has it open any more, -ENOBUFS, -ENOMEM. */
static int read_some(struct inquiry *inquiry)
{
    char *space;
    size_t size;
    int r = buffer_reserve(&inquiry->output, &space, &size);
    if (r < 0)
        return r;
    ssize_t n = read(inquiry->output_fd, space, size);
    if (n > 0)
        buffer_commit(&inquiry->output, (size_t)n);
    if (n == 0)
        return -EPIPE;
    return n > 0;
}

static void end_process(struct inquiry *inquiry)
{
    if (process_signal(inquiry->pidfd, SIGKILL) == -ENOSYS)
        (void)kill(inquiry->pid, SIGKILL);
}

static int on_output(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                     void *userdata)
{
    struct inquiry *inquiry = userdata;
    int r = 1;
    for (unsigned i = 0; i < READS_AT_ONCE && r > 0; i++)
        r = read_some(inquiry);
    if (r == -ENOBUFS || r == -ENOMEM) {
        inquiry->overflows = true;
        end_process(inquiry);
    }
    return r < 0 ? sd_event_source_set_enabled(source, SD_EVENT_OFF) : 0;
}

/* Its end */

/* One line of what it printed instead of an answer. */
static char *first_line(const struct inquiry *inquiry)
{
    const char *text = inquiry->output.data ? inquiry->output.data + inquiry->output.begin : "";
    size_t size = buffer_size(&inquiry->output);
    const char *end = size > 0 ? memchr(text, '\n', size) : NULL;
    char *line = strndup(text, end ? (size_t)(end - text) : size);
    if (line)
        string_make_utf8(line);
    return line;
}

/* NULL: it did what it is there for. */
static char *find_failure(const struct inquiry *inquiry)
{
    char text[PROCESS_EXIT_TEXT_SIZE];
    if (inquiry->late)
        return strdup(PROGRAM " took longer than 5 s and was killed");
    if (inquiry->overflows)
        return strdup(PROGRAM " told more than 1 MiB and was killed");
    if (inquiry->exit.si_code == CLD_EXITED && inquiry->exit.si_status == 0)
        return NULL;
    CLEANUP_FREE char *line = first_line(inquiry);
    return line && *line
               ? TAKE_PTR(line)
               : string_format(PROGRAM ": %s", process_exit_to_text(&inquiry->exit, text));
}

static void answer(struct inquiry *inquiry)
{
    CLEANUP_FREE char *failure = find_failure(inquiry);
    json_auto_t *found = NULL;
    if (!failure) {
        found = json_loadb(inquiry->output.data + inquiry->output.begin,
                           buffer_size(&inquiry->output), 0, NULL);
        if (!found)
            failure = strdup(PROGRAM " said what cannot be understood");
    }
    why_answer(inquiry->master, inquiry, found, failure);
}

static void start_next(struct master *master);

static void on_reaped(void *userdata)
{
    struct inquiry *inquiry = userdata;
    struct master *master = inquiry->master;
    if (!inquiry->forgotten)
        answer(inquiry);
    drop(inquiry);
    start_next(master);
}

static int on_exit_of_it(sd_event_source *source, int fd UNUSED, uint32_t revents UNUSED,
                         void *userdata)
{
    struct inquiry *inquiry = userdata;
    if (process_peek_exit(inquiry->pid, &inquiry->exit) <= 0)
        return 0;
    (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    int r = 1;
    /* It ends: what a pipe holds is all that can still come. */
    while (r > 0)
        r = read_some(inquiry);
    inquiry->overflows = inquiry->overflows || r == -ENOBUFS || r == -ENOMEM;
    reaper_exited(inquiry->master->reaper, &inquiry->reaping);
    return 0;
}

static int on_deadline(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct inquiry *inquiry = userdata;
    inquiry->late = true;
    end_process(inquiry);
    return 0;
}

/* Its start */

/* "PID", or "PID,STRAY…" */
static int add_argument(const struct inquiry_subject *subject, char ***ret)
{
    CLEANUP_FREE char *word = string_format("%d", (int)subject->pid);
    for (unsigned i = 0; word && i < subject->n_strays; i++) {
        CLEANUP_FREE char *before = word;
        word = string_format("%s,%d", before, (int)subject->strays[i]);
    }
    return word ? strv_append(ret, word) : -ENOMEM;
}

static int make_arguments(const struct inquiry *inquiry, char ***ret)
{
    int r = strv_append(ret, PROGRAM);
    for (size_t i = 0; i < inquiry->n_subjects && r == 0; i++)
        r = add_argument(&inquiry->subjects[i], ret);
    return r;
}

static int spawn_it(struct inquiry *inquiry, int output_fd)
{
    CLEANUP_STRV char **argv = NULL;
    CLEANUP_FREE char *executable = helper_find(PROGRAM);
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!executable)
        return -ENOENT;
    int r = null_fd < 0 ? -errno : make_arguments(inquiry, &argv);
    if (r < 0)
        return r;
    const struct spawn_params params = {
        .argv = argv,
        .envp = environ,
        .executable = executable,
        .stdin_fd = null_fd,
        .stdout_fd = output_fd,
        .stderr_fd = output_fd,
    };
    struct spawn_failure failure;
    return spawn(&params, &inquiry->pid, &inquiry->pidfd, &failure);
}

static int add_sources(struct inquiry *inquiry)
{
    sd_event *event = inquiry->master->event;
    int r = sd_event_add_io(event, &inquiry->exit_source, inquiry->pidfd, EPOLLIN, on_exit_of_it,
                            inquiry);
    if (r >= 0)
        r = sd_event_add_io(event, &inquiry->output_source, inquiry->output_fd, EPOLLIN, on_output,
                            inquiry);
    if (r >= 0)
        r = sd_event_add_time(event, &inquiry->deadline_timer, CLOCK_MONOTONIC,
                              clock_monotonic_usec() + PATIENCE_USEC, USEC_PER_MSEC, on_deadline,
                              inquiry);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(inquiry->exit_source, "inquiry-exit");
    (void)sd_event_source_set_description(inquiry->output_source, "inquiry-output");
    (void)sd_event_source_set_description(inquiry->deadline_timer, "inquiry-deadline");
    return 0;
}

/* SIGKILL ends it within moments. */
static void end_now(struct inquiry *inquiry)
{
    struct pollfd poll_fd = {.fd = inquiry->pidfd, .events = POLLIN};
    end_process(inquiry);
    (void)poll(&poll_fd, 1, KILL_WAIT_MSEC);
    inquiry->reaping.exited = true;
    reaper_remove(inquiry->master->reaper, &inquiry->reaping);
}

static int start(struct inquiry *inquiry)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    CLEANUP_FD int write_fd = pipe_fds[1];
    inquiry->output_fd = pipe_fds[0];
    if (fcntl(inquiry->output_fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    int r = spawn_it(inquiry, write_fd);
    if (r < 0)
        return r;
    inquiry->master->inquiries.running++;
    inquiry->reaping.leader = inquiry->pid;
    reaper_add(inquiry->master->reaper, &inquiry->reaping);
    r = add_sources(inquiry);
    if (r < 0)
        end_now(inquiry);
    return r;
}

/* For one that had to wait. */
static void start_or_answer(struct inquiry *inquiry)
{
    int r = start(inquiry);
    if (r == 0)
        return;
    why_answer(inquiry->master, inquiry, NULL, inquiry_explain(r));
    drop(inquiry);
}

static void start_next(struct master *master)
{
    struct inquiries *inquiries = &master->inquiries;
    LIST_FOREACH_SAFE (inquiry, &inquiries->list, struct inquiry, link) {
        if (inquiry->pid == 0 && inquiries->running < RUNNING_MAX)
            start_or_answer(inquiry);
    }
}

int inquiry_new(struct master *master, struct inquiry_subject *subjects, size_t n_subjects,
                uint64_t *ret_id)
{
    struct inquiries *inquiries = &master->inquiries;
    struct inquiry *inquiry = inquiries->n < INQUIRIES_MAX ? malloc(sizeof(*inquiry)) : NULL;
    if (!inquiry)
        return inquiries->n < INQUIRIES_MAX ? -ENOMEM : -EBUSY;
    *inquiry = (struct inquiry){
        .master = master,
        .id = ++inquiries->last_id,
        .n_subjects = n_subjects,
        .pidfd = -1,
        .output_fd = -1,
        .reaping = {.empty = on_reaped, .userdata = inquiry},
    };
    list_init(&inquiry->reaping.link);
    buffer_init(&inquiry->output, OUTPUT_MAX);
    list_append(&inquiries->list, &inquiry->link);
    inquiries->n++;
    inquiry->subjects = subjects;
    int r = inquiries->running < RUNNING_MAX ? start(inquiry) : 0;
    if (r < 0) {
        inquiry->subjects = NULL;
        drop(inquiry);
        return r;
    }
    *ret_id = inquiry->id;
    return 0;
}

void inquiry_forget(struct master *master, uint64_t id)
{
    LIST_FOREACH_SAFE (inquiry, &master->inquiries.list, struct inquiry, link) {
        if (inquiry->id != id)
            continue;
        inquiry->forgotten = true;
        if (inquiry->pid > 0)
            end_process(inquiry);
        else
            drop(inquiry);
    }
}

void inquiries_clear(struct inquiries *inquiries)
{
    LIST_FOREACH_SAFE (inquiry, &inquiries->list, struct inquiry, link) {
        if (inquiry->pid > 0)
            end_now(inquiry);
        drop(inquiry);
    }
}
