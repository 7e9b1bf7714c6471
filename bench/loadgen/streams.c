/*
 * streams.c - long connections that send all the time.
 *
 *     CLOSED ──► CONNECTING ──► OPEN ──► LINGERING ──► CLOSED      the server ended its side first
 *                                 └────► ENDING ─────► CLOSED      the run is over, all has come back
 *
 * A stream is right as long as what comes back is the pattern it sends. When the server ends its side, all that came
 * is a prefix of what was sent; the stream goes on sending for a random time up to the linger, which a server that
 * drains reads and drops. One that had closed instead answers with a reset, and that is a failure.
 * At the end of the run it waits for the rest of its echo, ends its side, and expects the server's end and no byte more.
 */
#include "base/clock.h"
#include "base/list.h"
#include "loadgen/load.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* What may be on its way; beyond it a stream waits for the server to catch up. */
#define WINDOW 262144

enum stream_state {
    STREAM_CLOSED,
    STREAM_CONNECTING,
    STREAM_OPEN,
    STREAM_LINGERING,
    STREAM_ENDING
};

struct stream {
    struct source source;
    struct streams *streams;
    enum stream_state state;
    uint32_t offset; /* in the pattern */
    uint64_t goal, sent, received;
    uint64_t mark, mark_usec; /* a position whose echo is awaited, and since when; 0: none */
    uint64_t moved_usec;      /* something was received, or all had been */
    uint64_t ended_usec, linger_until; /* the server ended its side; when the stream leaves */
    bool ever_echoed;
};

struct streams {
    struct mode mode;
    struct stream *all;
    size_t n, n_open, next; /* next: the stream whose turn it is */
    uint64_t ticks, opened, ended_by_server, ended_by_us, bytes;
    /* how long after the server's end a stream was still carried before it was reset */
    struct histogram held;
};

static struct streams *of_mode(const struct mode *mode)
{
    return LIST_ENTRY((struct mode *)mode, struct streams, mode);
}

static void close_stream(struct stream *stream)
{
    loop_drop(&stream->streams->mode.load->loop, &stream->source);
    stream->state = STREAM_CLOSED;
    stream->streams->n_open--;
}

static const char *describe(enum stream_state state)
{
    switch (state) {
    case STREAM_CLOSED:
        return "opening";
    case STREAM_CONNECTING:
        return "connecting";
    case STREAM_OPEN:
        return "streaming";
    case STREAM_LINGERING:
        return "sending on after the server's end";
    case STREAM_ENDING:
        return "awaiting the server's end";
    }
    return "";
}

static void fail(struct stream *stream, enum outcome outcome, const char *why)
{
    uint64_t now_usec = clock_monotonic_usec();
    if (stream->state == STREAM_LINGERING)
        histogram_add(&stream->streams->held, now_usec - stream->ended_usec);
    tally_failure(&stream->streams->mode.tally, outcome, now_usec,
                  "while %s: %s, %llu bytes sent, %llu received", describe(stream->state), why,
                  (unsigned long long)stream->sent, (unsigned long long)stream->received);
    close_stream(stream);
}

static void fail_errno(struct stream *stream, int r)
{
    fail(stream, outcome_of_errno(-r), strerror(-r));
}

static void succeed(struct stream *stream)
{
    stream->streams->mode.tally.counts[OUTCOME_OK]++;
    if (stream->state == STREAM_LINGERING)
        stream->streams->ended_by_server++;
    else
        stream->streams->ended_by_us++;
    (void)shutdown(stream->source.fd, SHUT_WR);
    close_stream(stream);
}

static void watch(struct stream *stream)
{
    uint32_t events = EPOLLIN;
    if (stream->state == STREAM_CONNECTING || stream->sent < stream->goal)
        events = EPOLLIN | EPOLLOUT;
    /* End-of-file, once read, would be told for ever; the pieces to come find out what becomes of the connection. */
    if (stream->state == STREAM_LINGERING)
        events = 0;
    int r = loop_watch(&stream->streams->mode.load->loop, &stream->source, events);
    if (r < 0)
        fail_errno(stream, r);
}

/* 0, or -errno. */
static int send_pieces(struct stream *stream)
{
    const struct pattern *pattern = &stream->streams->mode.load->pattern;
    while (stream->sent < stream->goal) {
        size_t size = (size_t)MIN(stream->goal - stream->sent, (uint64_t)PATTERN_PIECE_MAX);
        ssize_t n = send(stream->source.fd, pattern_at(pattern, stream->offset, stream->sent), size,
                         MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? 0 : -errno;
        stream->sent += (uint64_t)n;
    }
    return 0;
}

static void on_server_end(struct stream *stream)
{
    struct load *load = stream->streams->mode.load;
    uint64_t now_usec = clock_monotonic_usec(), linger_usec = load->options->stream_linger_usec;
    if (stream->state == STREAM_ENDING) {
        succeed(stream);
        return;
    }
    stream->state = STREAM_LINGERING;
    stream->ended_usec = now_usec;
    stream->linger_until = now_usec +
                           (linger_usec > 0 ? random_next(&load->random) % linger_usec : 0);
    if (linger_usec == 0 || load->stopping)
        succeed(stream);
    else
        watch(stream);
}

static void note_echo(struct stream *stream, size_t size)
{
    struct streams *streams = stream->streams;
    uint64_t now_usec = clock_monotonic_usec();
    stream->received += size;
    streams->bytes += size;
    stream->moved_usec = now_usec;
    stream->ever_echoed = true;
    if (stream->mark > 0 && stream->received >= stream->mark) {
        histogram_add(&streams->mode.tally.latency, now_usec - MIN(stream->mark_usec, now_usec));
        stream->mark = 0;
    }
}

/* False: the stream has left its state. */
static bool receive_echo(struct stream *stream)
{
    char data[16384];
    ssize_t n;
    while ((n = recv(stream->source.fd, data, sizeof(data), 0)) > 0) {
        const struct pattern *pattern = &stream->streams->mode.load->pattern;
        if (stream->received + (uint64_t)n > stream->sent ||
            !pattern_matches(pattern, stream->offset, stream->received, data, (size_t)n)) {
            fail(stream, OUTCOME_CORRUPTED, "this is not what was sent");
            return false;
        }
        note_echo(stream, (size_t)n);
    }
    if (n == 0) {
        on_server_end(stream);
        return false;
    }
    if (errno == EAGAIN)
        return true;
    fail_errno(stream, -errno);
    return false;
}

/* At the end of the run: our side is ended once nothing is on its way any more. */
static void end_if_through(struct stream *stream)
{
    if (!stream->streams->mode.load->stopping || stream->state != STREAM_OPEN ||
        stream->received < stream->sent)
        return;
    stream->goal = stream->sent;
    stream->state = STREAM_ENDING;
    stream->moved_usec = clock_monotonic_usec();
    (void)shutdown(stream->source.fd, SHUT_WR);
}

/* Sends and receives what can be. */
static void pump(struct stream *stream)
{
    int r = send_pieces(stream);
    if (r < 0) {
        fail_errno(stream, r);
        return;
    }
    if (stream->state != STREAM_LINGERING && !receive_echo(stream))
        return;
    end_if_through(stream);
    watch(stream);
}

static void on_ready(struct source *source, uint32_t events UNUSED)
{
    struct stream *stream = LIST_ENTRY(source, struct stream, source);
    int r = stream->state == STREAM_CONNECTING || stream->state == STREAM_LINGERING
                ? target_connected(source->fd)
                : 0;
    if (r < 0) {
        fail_errno(stream, r);
        return;
    }
    if (stream->state == STREAM_LINGERING) {
        /* A Unix socket whose peer has closed: told for ever, too. The next piece will fail. */
        loop_unwatch(&stream->streams->mode.load->loop, source);
        return;
    }
    if (stream->state == STREAM_CONNECTING)
        stream->state = STREAM_OPEN;
    pump(stream);
}

static void connect_stream(struct stream *stream)
{
    int r = target_connect(&stream->streams->mode.load->target, stream->source.fd);
    /* A full queue of a Unix listener: the stream stays CONNECTING, unwatched, and asks again when its turn comes. */
    if (r == -EAGAIN)
        return;
    if (r < 0) {
        fail_errno(stream, r);
        return;
    }
    if (r > 0)
        stream->state = STREAM_OPEN;
    watch(stream);
}

static void open_stream(struct stream *stream, uint64_t now_usec)
{
    struct load *load = stream->streams->mode.load;
    *stream = (struct stream){
        .source = {.fd = -1, .ready = on_ready},
        .streams = stream->streams,
        .state = STREAM_CONNECTING,
        .offset = (uint32_t)(random_next(&load->random) % PATTERN_PERIOD),
        .moved_usec = now_usec,
        .ever_echoed = stream->ever_echoed,
    };
    stream->streams->opened++;
    stream->streams->n_open++;
    int r = target_open(&load->target, SOCK_STREAM, &stream->source.fd);
    if (r < 0)
        fail_errno(stream, r);
    else
        connect_stream(stream);
}

static void send_more(struct stream *stream, uint64_t now_usec)
{
    const struct load *load = stream->streams->mode.load;
    if (load->stopping && stream->state == STREAM_OPEN) {
        /* What was due, but not sent, is not missed. */
        stream->goal = stream->sent;
    } else if (stream->goal - stream->received < WINDOW || stream->state == STREAM_LINGERING) {
        if (stream->goal == stream->received)
            stream->moved_usec = now_usec;
        stream->goal += load->options->stream_bytes;
        if (stream->mark == 0) {
            stream->mark = stream->goal;
            stream->mark_usec = now_usec;
        }
    }
    pump(stream);
}

/* What was sent last may have been answered by a reset. */
static void leave(struct stream *stream)
{
    int r = target_connected(stream->source.fd);
    if (r < 0)
        fail_errno(stream, r);
    else
        succeed(stream);
}

/* Its turn: once every interval. */
static void tick(struct stream *stream, uint64_t now_usec)
{
    const struct streams *streams = stream->streams;
    const struct options *options = streams->mode.load->options;
    bool stopping = streams->mode.load->stopping;
    bool waits = stream->state != STREAM_LINGERING &&
                 (stream->state != STREAM_OPEN || stream->received < stream->sent);
    if (stream->state != STREAM_CLOSED && waits &&
        now_usec > stream->moved_usec + options->timeout_usec) {
        fail(stream, OUTCOME_TIMED_OUT, "nothing came any more");
        return;
    }
    switch (stream->state) {
    case STREAM_CLOSED:
        if (!stopping && (options->stream_reopen || streams->opened < streams->n))
            open_stream(stream, now_usec);
        return;
    case STREAM_CONNECTING:
        if (!stream->source.known)
            connect_stream(stream);
        return;
    case STREAM_OPEN:
        send_more(stream, now_usec);
        return;
    case STREAM_LINGERING:
        if (now_usec >= stream->linger_until || stopping)
            leave(stream);
        else
            send_more(stream, now_usec);
        return;
    case STREAM_ENDING:
        return;
    }
}

static uint64_t streams_next_usec(const struct mode *mode)
{
    const struct streams *streams = of_mode(mode);
    return mode->load->began_usec +
           streams->ticks * mode->load->options->stream_interval_usec / streams->n;
}

static void streams_run(struct mode *mode, uint64_t now_usec)
{
    struct streams *streams = of_mode(mode);
    for (size_t i = 0; i < streams->n && streams_next_usec(mode) <= now_usec; i++) {
        tick(&streams->all[streams->next], now_usec);
        streams->next = (streams->next + 1) % streams->n;
        streams->ticks++;
    }
    /* A whole round late: what was not sent then is not sent at once now. */
    if (streams_next_usec(mode) <= now_usec)
        streams->ticks = (now_usec - mode->load->began_usec) * streams->n /
                         mode->load->options->stream_interval_usec;
}

static bool streams_are_idle(const struct mode *mode)
{
    return of_mode(mode)->n_open == 0;
}

static bool streams_have_started(const struct mode *mode)
{
    const struct streams *streams = of_mode(mode);
    for (size_t i = 0; i < streams->n; i++)
        if (!streams->all[i].ever_echoed)
            return false;
    return true;
}

static void streams_give_up(struct mode *mode, uint64_t now_usec UNUSED)
{
    struct streams *streams = of_mode(mode);
    for (size_t i = 0; i < streams->n; i++)
        if (streams->all[i].state != STREAM_CLOSED)
            fail(&streams->all[i], OUTCOME_TIMED_OUT, "the run is over");
}

static void streams_report(const struct mode *mode, json_t *report)
{
    const struct streams *streams = of_mode(mode);
    report_integer(report, "opened", streams->opened);
    report_integer(report, "ended_by_server", streams->ended_by_server);
    report_integer(report, "ended_by_us", streams->ended_by_us);
    report_integer(report, "bytes_echoed", streams->bytes);
    json_t *held = json_object();
    report_integer(held, "count", streams->held.count);
    report_integer(held, "min", histogram_quantile(&streams->held, 0));
    report_integer(held, "max", streams->held.max);
    (void)json_object_set_new(report, "held_before_reset_usec", held);
}

static struct mode *streams_free(struct mode *mode)
{
    struct streams *streams = mode ? of_mode(mode) : NULL;
    if (!streams)
        return NULL;
    for (size_t i = 0; i < streams->n; i++)
        if (streams->all[i].state != STREAM_CLOSED)
            close_stream(&streams->all[i]);
    free(streams->all);
    free(streams);
    return NULL;
}

static const struct mode_ops ops = {
    .next_usec = streams_next_usec,
    .run = streams_run,
    .is_idle = streams_are_idle,
    .has_started = streams_have_started,
    .give_up = streams_give_up,
    .report = streams_report,
    .free = streams_free,
};

struct mode *streams_new(struct load *load)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    if (!streams)
        return NULL;
    streams->mode = (struct mode){.name = "streams", .ops = &ops, .load = load};
    streams->n = load->options->streams;
    streams->all = calloc(streams->n, sizeof(struct stream));
    if (!streams->all)
        streams->n = 0;
    for (size_t i = 0; i < streams->n; i++)
        streams->all[i] = (struct stream){.source.fd = -1, .streams = streams};
    return streams->all ? &streams->mode : streams_free(&streams->mode);
}
