#include "control/connection.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* What we wait for from the client, and so how long. */
enum wait { WAIT_NONE, WAIT_MESSAGE, WAIT_READING, WAIT_IDLE };

struct connection {
    struct connection_options options;
    int fd;
    sd_event_source *io, *timer;
    struct buffer in, out;
    int passed_fd; /* goes with the first byte of `out`; -1: none */
    enum wait wait;
    uint64_t wait_since_usec;
    bool wait_anew;   /* for the same as before, but another one of it */
    bool busy;        /* a call is being answered */
    bool oneway;      /* … and wants no answer */
    bool completed;   /* it has had an answer at least once */
    bool more_frames; /* the input may hold another whole message */
    /* out of the loop: nothing more is taken from it, connection_flush() sends what is queued */
    bool finishing;
    bool closed;
};

void connection_close(struct connection *c, const char *reason)
{
    if (c->closed)
        return;
    c->closed = true;
    c->io = sd_event_source_disable_unref(c->io);
    c->timer = sd_event_source_disable_unref(c->timer);
    c->fd = fd_close(c->fd);
    c->passed_fd = fd_close(c->passed_fd);
    buffer_clear(&c->in);
    buffer_clear(&c->out);
    c->options.ops->closed(reason, c->options.userdata);
}

static bool wants_input(const struct connection *c)
{
    return !c->busy && !c->more_frames && buffer_size(&c->out) == 0;
}

static enum wait wait_for(const struct connection *c)
{
    if (c->busy)
        return WAIT_NONE;
    if (buffer_size(&c->out) > 0)
        return WAIT_READING;
    bool may_wait = c->completed || c->options.idle_timeout_usec == UINT64_MAX;
    if (!may_wait || buffer_size(&c->in) > 0)
        return WAIT_MESSAGE;
    return WAIT_IDLE;
}

/* A deadline belongs to what is waited for; bytes that trickle in do not move it. */
static int set_timer(struct connection *c)
{
    enum wait wait = wait_for(c);
    if (wait == c->wait && !c->wait_anew)
        return 0;
    c->wait = wait;
    c->wait_anew = false;
    c->wait_since_usec = clock_monotonic_usec();
    uint64_t timeout = wait == WAIT_IDLE ? c->options.idle_timeout_usec
                                         : c->options.message_timeout_usec;
    if (wait == WAIT_NONE || timeout == UINT64_MAX)
        return sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
    int r = sd_event_source_set_time(c->timer, c->wait_since_usec + timeout);
    return r < 0 ? r : sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* Brings what the loop watches in line with the state. Called last by everybody who changed it. */
static void settle(struct connection *c)
{
    if (c->closed || c->finishing)
        return;
    uint32_t events = 0;
    if (wants_input(c))
        events |= EPOLLIN;
    if (buffer_size(&c->out) > 0 || (c->more_frames && !c->busy))
        events |= EPOLLOUT;
    int r = sd_event_source_set_io_events(c->io, events);
    if (r >= 0)
        r = set_timer(c);
    /* -ESTALE: the loop has ended, and connection_flush() sends the rest. */
    if (r < 0 && r != -ESTALE)
        connection_close(c, "the event loop is out of memory");
}

/* Called only when all that came before is done, so that its end is the end. */
static void receive(struct connection *c)
{
    char *space;
    size_t size;
    if (buffer_reserve(&c->in, &space, &size) < 0) {
        connection_close(c, "out of memory");
        return;
    }
    ssize_t n = recv(c->fd, space, size, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        connection_close(c, NULL);
        return;
    }
    buffer_commit(&c->in, (size_t)n);
    c->more_frames = true;
}

static int send_queued(struct connection *c)
{
    if (c->passed_fd < 0)
        return buffer_send(&c->out, c->fd);
    int r = buffer_send_fds(&c->out, c->fd, &c->passed_fd, 1);
    if (r == -EAGAIN)
        return 0;
    c->passed_fd = fd_close(c->passed_fd);
    return r;
}

static void flush(struct connection *c)
{
    int r = c->closed ? 0 : send_queued(c);
    if (r < 0)
        connection_close(c, r == -ETOOMANYREFS ? "too many descriptors wait to be received" : NULL);
}

static void handle_frame(struct connection *c, const char *frame, size_t size)
{
    CLEANUP_VARLINK_CALL struct varlink_call call = {0};
    int r = varlink_call_parse(frame, size, &call);
    if (r < 0) {
        connection_close(c, r == -ENOMEM ? "out of memory" : "it sent what is not a Varlink call");
        return;
    }
    c->busy = true;
    c->oneway = call.oneway;
    c->wait_anew = true;
    c->options.ops->call(&call, c->options.userdata);
    if (c->oneway) {
        c->oneway = c->busy = false;
        c->completed = true;
    }
}

/* At most one call in one turn of the loop, so that a client that pipelines holds up nobody. */
static void take_call(struct connection *c)
{
    if (c->closed || c->busy || buffer_size(&c->out) > 0)
        return;
    char *frame;
    size_t size;
    int r = buffer_next_frame(&c->in, '\0', &frame, &size);
    c->more_frames = r > 0;
    if (r > 0)
        handle_frame(c, frame, size);
    else if (r < 0)
        connection_close(c, "it sent a message over 64 KiB");
}

/* Did the socket take anything? What is drained may be filled again at once. */
static bool flush_and_tell(struct connection *c)
{
    size_t before = buffer_size(&c->out);
    flush(c);
    bool sent = buffer_size(&c->out) < before;
    if (sent && !c->closed && buffer_size(&c->out) == 0 && c->options.ops->drained)
        c->options.ops->drained(c->options.userdata);
    return sent;
}

bool connection_push(struct connection *c)
{
    bool sent = flush_and_tell(c);
    settle(c);
    return sent;
}

static int on_io(UNUSED sd_event_source *source, UNUSED int fd, uint32_t events, void *userdata)
{
    struct connection *c = userdata;
    if (wants_input(c) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(c);
    else if ((events & (EPOLLHUP | EPOLLERR)) && (c->busy || buffer_size(&c->out) > 0))
        connection_close(c, NULL);
    (void)flush_and_tell(c);
    take_call(c);
    (void)flush_and_tell(c);
    settle(c);
    return 0;
}

static int on_timer(UNUSED sd_event_source *source, UNUSED uint64_t usec, void *userdata)
{
    struct connection *c = userdata;
    switch (c->wait) {
    case WAIT_NONE:
        break;
    case WAIT_MESSAGE:
        connection_close(c, "it did not send a whole message in time");
        break;
    case WAIT_READING:
        connection_close(c, "it did not read its reply in time");
        break;
    case WAIT_IDLE:
        connection_close(c, NULL);
        break;
    }
    return 0;
}

int connection_new(sd_event *event, int fd, const struct connection_options *options,
                   struct connection **ret)
{
    CLEANUP_FD int own = fd;
    struct connection *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct connection){.options = *options, .fd = TAKE_FD(own), .passed_fd = -1};
    buffer_init(&c->in, CONNECTION_MESSAGE_MAX);
    buffer_init(&c->out, CONNECTION_REPLY_MAX);

    int r = sd_event_add_io(event, &c->io, c->fd, EPOLLIN, on_io, c);
    if (r >= 0)
        r = sd_event_add_time(event, &c->timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_timer, c);
    if (r >= 0)
        r = set_timer(c);
    if (r < 0) {
        (void)connection_free(c);
        return r;
    }
    (void)sd_event_source_set_description(c->io, "control-client");
    (void)sd_event_source_set_description(c->timer, "control-client-timeout");
    *ret = c;
    return 0;
}

struct connection *connection_free(struct connection *c)
{
    if (!c)
        return NULL;
    (void)sd_event_source_disable_unref(c->io);
    (void)sd_event_source_disable_unref(c->timer);
    (void)fd_close(c->fd);
    (void)fd_close(c->passed_fd);
    buffer_clear(&c->in);
    buffer_clear(&c->out);
    free(c);
    return NULL;
}

/* `text` is NULL where it could not be made. */
static void queue(struct connection *c, const char *text, size_t size)
{
    if (c->closed || c->oneway)
        return;
    if (!text || buffer_append(&c->out, text, size) < 0)
        connection_close(c, "there is no memory for its reply");
}

static void end_call(struct connection *c)
{
    c->busy = false;
    c->completed = true;
}

void connection_reply(struct connection *c, json_t *parameters, bool continues)
{
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    if (c->closed)
        return;
    (void)varlink_encode_reply(parameters, continues, &text, &size);
    queue(c, text, size);
    if (!continues)
        end_call(c);
    settle(c);
}

/* A call is taken only when nothing is queued any more: the first byte of its only reply is the first of all. */
void connection_reply_fd(struct connection *c, json_t *parameters, int fd)
{
    CLEANUP_FD int own = fd;
    if (!c->closed && !c->oneway && own >= 0)
        c->passed_fd = TAKE_FD(own);
    connection_reply(c, parameters, false);
}

void connection_error(struct connection *c, const char *error, json_t *parameters)
{
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    if (c->closed)
        return;
    (void)varlink_encode_error(error, parameters, &text, &size);
    queue(c, text, size);
    end_call(c);
    settle(c);
}

size_t connection_pending(const struct connection *c)
{
    return buffer_size(&c->out);
}

bool connection_is_idle(const struct connection *c, uint64_t *ret_since_usec)
{
    switch (c->wait) {
    case WAIT_NONE:
    case WAIT_READING:
        return false;
    case WAIT_MESSAGE:
    case WAIT_IDLE:
        break;
    }
    *ret_since_usec = c->wait_since_usec;
    return !c->closed && !c->busy;
}

void connection_stream(struct connection *c, const char *text, size_t size)
{
    if (!c->closed && buffer_size(&c->out) + size > CONNECTION_EVENTS_MAX)
        flush(c);
    if (!c->closed && buffer_size(&c->out) + size > CONNECTION_EVENTS_MAX)
        connection_close(c, "it does not read its events");
    queue(c, text, size);
    settle(c);
}

void connection_finish(struct connection *c)
{
    c->finishing = true;
    c->io = sd_event_source_disable_unref(c->io);
    c->timer = sd_event_source_disable_unref(c->timer);
}

int connection_flush(struct connection *c)
{
    flush(c);
    settle(c);
    return !c->closed && buffer_size(&c->out) > 0 ? c->fd : -1;
}
