/* What reloader-log is told of pipes and of the log, and what is lost with it. */
#include "master/logging.h"

#include "base/strv.h"

#include <inttypes.h>

/* Telling */

static int describe_worker(const struct output_pipe *pipe, char ***ret)
{
    const struct log_subject subject = output_pipe_subject(pipe);
    int r = strv_appendf(ret, "PROGRAM=%s", subject.program);
    if (r == 0)
        r = strv_appendf(ret, "WORKER=%s", subject.worker);
    if (r == 0)
        r = strv_appendf(ret, "SLOT=%u", subject.slot);
    if (r == 0)
        r = strv_appendf(ret, "GENERATION=%" PRIu64, subject.generation);
    if (r == 0)
        r = strv_appendf(ret, "PID=%d", (int)subject.pid);
    if (r == 0)
        r = strv_appendf(ret, "STREAM=%s", output_stream_name(pipe->stream));
    return r;
}

static int describe_file(const struct output_pipe *pipe, char ***ret)
{
    const struct config_output *settings = pipe->settings;
    int r = pipe->path ? strv_appendf(ret, "PATH=%s", pipe->path) : 0;
    if (r == 0)
        r = strv_appendf(ret, "MAX_SIZE=%" PRIu64, settings->max_size);
    if (r == 0)
        r = strv_appendf(ret, "BACKUPS=%u", settings->backups);
    if (r == 0)
        r = strv_appendf(ret, "COMPRESS=%d", settings->compress);
    if (r == 0)
        r = strv_appendf(ret, "AGAIN=%d", pipe->was_handed);
    return r;
}

static int describe(const struct output_pipe *pipe, bool tapped, char ***ret)
{
    /* A log that people read on a terminal holds no such sequences, whatever is asked for. */
    bool strips = pipe->settings->strip_ansi || pipe->settings->to == CONFIG_OUTPUT_LOG;
    int r = strv_appendf(ret, "TYPE=pipe");
    if (r == 0)
        r = strv_appendf(ret, "NUMBER=%" PRIu64, pipe->number);
    if (r == 0)
        r = strv_appendf(ret, "TO=%s", config_output_to_to_string(pipe->settings->to));
    if (r == 0)
        r = strv_appendf(ret, "STRIP_ANSI=%d", strips);
    if (r == 0)
        r = strv_appendf(ret, "TAP=%d", tapped);
    if (r == 0)
        r = describe_worker(pipe, ret);
    return r == 0 ? describe_file(pipe, ret) : r;
}

static int tell_of(struct logging *logging, struct output_pipe *pipe)
{
    CLEANUP_STRV char **fields = NULL;
    bool tapped = logging->ops->wanted(pipe, logging->userdata);
    int r = describe(pipe, tapped, &fields);
    if (r == 0)
        r = helper_send(logging->helper, fields, pipe->read_fd);
    if (r < 0)
        return r;
    pipe->was_handed = true;
    pipe->tapped = tapped;
    list_remove(&pipe->link);
    list_append(&logging->handed, &pipe->link);
    return 0;
}

static int tell_of_log(const struct logging *logging)
{
    CLEANUP_STRV char **fields = NULL;
    const char *identifier = log_get_identifier();
    int r = strv_appendf(&fields, "TYPE=log");
    if (r == 0)
        r = strv_appendf(&fields, "FORMAT=%d", (int)log_get_format());
    if (r == 0)
        r = strv_appendf(&fields, "MAX_SIZE=%" PRIu64, log_get_max_size());
    if (r == 0 && identifier)
        r = strv_appendf(&fields, "IDENTIFIER=%s", identifier);
    int fd = log_get_format() == LOG_FORMAT_JOURNAL ? -1 : log_get_lasting_fd();
    if (r == 0)
        r = strv_appendf(&fields, "PASSED=%d", fd >= 0);
    return r == 0 ? helper_send(logging->helper, fields, fd) : r;
}

static int tell_of_tap(struct logging *logging, struct output_pipe *pipe)
{
    CLEANUP_STRV char **fields = NULL;
    bool tapped = logging->ops->wanted(pipe, logging->userdata);
    if (tapped == pipe->tapped)
        return 0;
    int r = strv_appendf(&fields, "TYPE=tap");
    if (r == 0)
        r = strv_appendf(&fields, "NUMBER=%" PRIu64, pipe->number);
    if (r == 0)
        r = strv_appendf(&fields, "TAP=%d", tapped);
    if (r == 0)
        r = helper_send(logging->helper, fields, -1);
    if (r == 0)
        pipe->tapped = tapped;
    return r;
}

static int tell_of_taps(struct logging *logging)
{
    int r = 0;
    LIST_FOREACH(pipe, &logging->handed, struct output_pipe, link)
        if (r == 0)
            r = tell_of_tap(logging, pipe);
    if (r == 0)
        logging->taps_changed = false;
    return r;
}

int logging_tell(struct logging *logging)
{
    static char *const reopen[] = {(char *)(uintptr_t) "TYPE=reopen", NULL};
    int r = logging->knows_log ? 0 : tell_of_log(logging);
    if (r == 0)
        logging->knows_log = true;
    LIST_FOREACH_SAFE(pipe, &logging->waiting, struct output_pipe, link) {
        if (r == 0)
            r = tell_of(logging, pipe);
    }
    if (r == 0 && logging->taps_changed)
        r = tell_of_taps(logging);
    if (r == 0 && logging->reopen)
        r = helper_send(logging->helper, reopen, -1);
    if (r == 0)
        logging->reopen = false;
    return r;
}

/* Its death */

static uint64_t take_lost(struct output_counters *counters)
{
    uint64_t settled = counters->written + counters->dropped + counters->lost;
    uint64_t read = counters->read;
    if (counters->position == OUTPUT_READING)
        counters->read = read += OUTPUT_READ_SIZE;
    uint64_t lost = read > settled ? read - settled : 0;
    counters->lost += lost;
    return lost;
}

/* It had dropped them, and had no time to say so. */
static uint64_t take_unsaid(struct output_counters *counters)
{
    uint64_t dropped = counters->dropped, said = counters->said;
    counters->said = dropped;
    return dropped > said ? dropped - said : 0;
}

char *logging_count_lost(struct logging *logging)
{
    uint64_t lost = 0;
    unsigned pipes = 0;
    LIST_FOREACH(pipe, &logging->handed, struct output_pipe, link) {
        uint64_t its = take_lost(&logging->counters[pipe->number]) +
                       take_unsaid(&logging->counters[pipe->number]);
        lost += its;
        pipes += its > 0;
    }
    return string_format("of %u of the workers' streams up to %" PRIu64
                         " bytes that it had read are not written",
                         pipes, lost);
}
