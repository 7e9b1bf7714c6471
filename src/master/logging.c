#include "master/logging.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* At the end: for what is in the pipes to be written. */
#define FINISH_USEC (5 * USEC_PER_SEC)

/* Numbers of pipes */

static int take_number(struct logging *logging, uint64_t *ret)
{
    if (logging->n_free > 0) {
        *ret = logging->free_numbers[--logging->n_free];
        return 0;
    }
    if (logging->n_used == OUTPUT_PIPES_MAX)
        return -ENOBUFS;
    *ret = logging->n_used++;
    return 0;
}

/* There are as many places as numbers. */
static void give_number(struct logging *logging, uint64_t number)
{
    if (logging->counters)
        memset(&logging->counters[number], 0, sizeof(logging->counters[number]));
    logging->free_numbers[logging->n_free++] = number;
}

static void forget_pipe(struct logging *logging, struct output_pipe *pipe)
{
    if (logging->counters)
        logging->ops->ended(pipe->generation->program->name, &logging->counters[pipe->number],
                            logging->userdata);
    give_number(logging, pipe->number);
    (void)output_pipe_free(pipe);
}

static struct output_pipe *find_pipe(struct logging *logging, const char *number)
{
    uint64_t wanted;
    if (!number || parse_unsigned(number, 0, OUTPUT_PIPES_MAX, &wanted) < 0)
        return NULL;
    LIST_FOREACH(pipe, &logging->handed, struct output_pipe, link) {
        if (pipe->number == wanted)
            return pipe;
    }
    return NULL;
}

/* What it says */

/* It bounds by itself how often it says something. */
static void pass_on(const struct output_pipe *pipe, char **fields)
{
    const char *text = strv_env_get(fields, "TEXT");
    if (!text)
        return;
    log_about(pipe ? output_pipe_subject(pipe) : (struct log_subject){0}, LOG_LEVEL_WARNING,
              "%s", text);
}

static void pass_lines(struct logging *logging, const struct output_pipe *pipe, char **fields)
{
    const char *text = strv_env_get(fields, "TEXT"), *number = strv_env_get(fields, "MISSED");
    uint64_t missed = 0;
    if (pipe && text && number && parse_unsigned(number, 0, UINT64_MAX, &missed) == 0)
        logging->ops->lines(pipe, text, missed, logging->userdata);
}

/* It waits for the next occasion, as does its worker, if it prints much. */
static void offer_again(struct logging *logging, struct output_pipe *pipe, const char *why)
{
    if (!pipe->refused)
        log_about(output_pipe_subject(pipe), LOG_LEVEL_ERROR,
                  "reloader-log cannot take its %s: %s; it is tried again",
                  output_stream_name(pipe->stream), why ? why : "?");
    pipe->refused = true;
    list_remove(&pipe->link);
    list_append(&logging->waiting, &pipe->link);
}

static void on_message(char **fields, void *userdata)
{
    struct logging *logging = userdata;
    const char *type = strv_env_get(fields, "TYPE");
    struct output_pipe *pipe = find_pipe(logging, strv_env_get(fields, "NUMBER"));
    if (string_equal(type, "ended") && pipe) {
        forget_pipe(logging, pipe);
    } else if (string_equal(type, "refused") && pipe) {
        offer_again(logging, pipe, strv_env_get(fields, "TEXT"));
    } else if (string_equal(type, "log_refused")) {
        logging->knows_log = false;
    } else if (string_equal(type, "say")) {
        pass_on(pipe, fields);
    } else if (string_equal(type, "lines")) {
        pass_lines(logging, pipe, fields);
    } else if (string_equal(type, "full")) {
        log_rotate();
    }
}

/* Its life */

static int make_counters(struct logging *logging)
{
    size_t size = OUTPUT_PIPES_MAX * sizeof(struct output_counters);
    CLEANUP_FD int fd = memfd_create("reloader-output-counters", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
        return -errno;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    logging->counters = memory;
    logging->counters_fd = TAKE_FD(fd);
    return 0;
}

static int prepare(void *userdata)
{
    struct logging *logging = userdata;
    int r = logging->counters ? 0 : make_counters(logging);
    return r < 0 ? r : logging->counters_fd;
}

/* When it was started, and when there is room. */
static void tell(void *userdata)
{
    (void)logging_tell(userdata);
}

static char *count_lost(void *userdata)
{
    return logging_count_lost(userdata);
}

/* The next one is told of all pipes; those that this one knew are the older ones. */
static bool on_gone(void *userdata)
{
    struct logging *logging = userdata;
    logging->knows_log = false;
    list_move_all(&logging->waiting, &logging->handed);
    list_move_all(&logging->handed, &logging->waiting);
    return !list_is_empty(&logging->waiting);
}

static const struct helper_ops helper_ops = {
    .name = "reloader-log",
    .task = "writes workers' output",
    .without = "workers that print much have to wait",
    .prepare = prepare,
    .started = tell,
    .message = on_message,
    .room = tell,
    .lost = count_lost,
    .gone = on_gone,
};

static void take_pipe(struct output_pipe *pipe, void *userdata)
{
    struct logging *logging = userdata;
    if (take_number(logging, &pipe->number) < 0) {
        log_about(output_pipe_subject(pipe), LOG_LEVEL_ERROR,
                  "its %s is not written: reloader-log has %d pipes, and cannot have more",
                  output_stream_name(pipe->stream), OUTPUT_PIPES_MAX);
        (void)output_pipe_free(pipe);
        return;
    }
    list_append(&logging->waiting, &pipe->link);
    helper_want(logging->helper);
    tell(logging);
}

void logging_reopen(struct logging *logging)
{
    if (logging->helper->pid == 0)
        return;
    logging->reopen = true;
    logging_log_changed(logging);
}

void logging_taps_changed(struct logging *logging)
{
    logging->taps_changed = true;
    tell(logging);
}

void logging_log_changed(struct logging *logging)
{
    logging->knows_log = false;
    tell(logging);
}

static void add_list(const struct logging *logging, const struct list *pipes, const char *program,
                     struct output_totals *totals)
{
    LIST_FOREACH (pipe, pipes, struct output_pipe, link)
        if (strcmp(pipe->generation->program->name, program) == 0)
            output_totals_add(totals, &logging->counters[pipe->number]);
}

void logging_add_totals(const struct logging *logging, const char *program,
                        struct output_totals *totals)
{
    if (!logging->counters)
        return;
    add_list(logging, &logging->waiting, program, totals);
    add_list(logging, &logging->handed, program, totals);
}

const struct output_sink *logging_sink(const struct logging *logging)
{
    return logging ? &logging->sink : NULL;
}

int logging_new(sd_event *event, struct reaper *reaper, const struct logging_ops *ops,
                void *userdata, struct logging **ret)
{
    CLEANUP(logging_freep) struct logging *logging = calloc(1, sizeof(*logging));
    if (!logging)
        return -ENOMEM;
    *logging = (struct logging){
        .ops = ops,
        .userdata = userdata,
        .free_numbers = reallocarray(NULL, OUTPUT_PIPES_MAX, sizeof(uint64_t)),
        .counters_fd = -1,
    };
    logging->sink = (struct output_sink){.take = take_pipe, .userdata = logging};
    list_init(&logging->waiting);
    list_init(&logging->handed);
    if (!logging->free_numbers)
        return -ENOMEM;
    int r = helper_new(event, reaper, &helper_ops, logging, &logging->helper);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(logging);
    return 0;
}

/* All that it has to know, and then that there is no more to come. */
static int tell_the_end(void *userdata)
{
    static char *const finish[] = {(char *)(uintptr_t) "TYPE=finish", NULL};
    struct logging *logging = userdata;
    int r = logging_tell(logging);
    return r < 0 ? r : helper_send(logging->helper, finish, -1);
}

static void end_helper(struct logging *logging)
{
    bool needed = logging->helper->pid > 0 || !list_is_empty(&logging->waiting);
    int r = needed ? helper_finish(logging->helper, tell_the_end, FINISH_USEC) : 0;
    if (r < 0)
        log_error("cannot start reloader-log: %s; what workers have printed last is lost",
                  strerror(-r));
    logging->helper = helper_free(logging->helper);
}

struct logging *logging_free(struct logging *logging)
{
    if (!logging)
        return NULL;
    if (logging->helper)
        end_helper(logging);
    list_move_all(&logging->handed, &logging->waiting);
    while (!list_is_empty(&logging->waiting))
        (void)output_pipe_free(
            LIST_ENTRY(logging->waiting.next, struct output_pipe, link));
    if (logging->counters)
        (void)munmap(logging->counters, OUTPUT_PIPES_MAX * sizeof(struct output_counters));
    (void)fd_close(logging->counters_fd);
    free(logging->free_numbers);
    free(logging);
    return NULL;
}
