#include "worker/channel.h"

#include "base/buffer.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "worker/throttle.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Beyond the lines that are queued for a worker: that it is to leave it is told even then. */
#define CHANNEL_OWN_WORDS 1024
/* In a window of 100 ms. A line counts as much as the work it makes: parsing, an event, perhaps a log line. */
#define CHANNEL_BUDGET    (256 * 1024)
#define CHANNEL_LINE_COST 512
/* Lines dealt with in one go, so that one worker does not keep the others waiting. */
#define CHANNEL_READS_AT_ONCE 16
#define CHANNEL_REST_READS    256

struct channel {
    const char *name;
    const struct channel_ops *ops;
    void *userdata;
    int fd;
    sd_event_source *io;
    struct buffer in, out;
    struct throttle throttle;
    struct log_limit complaints;
    bool closed;  /* end-of-file, or an error: the worker's end is gone */
    bool resting; /* throttled */
};

enum channel_word channel_classify(const json_t *value)
{
    const char *word = json_string_value(value);
    if (word && strcmp(word, "ready") == 0)
        return CHANNEL_READY;
    if (word && strcmp(word, "fully_closed") == 0)
        return CHANNEL_FULLY_CLOSED;
    const char *verb = json_string_value(json_object_get(value, "reloader"));
    if (verb && strcmp(verb, "hello") == 0)
        return CHANNEL_HELLO;
    if (verb && strcmp(verb, "status") == 0 && json_is_string(json_object_get(value, "text")))
        return CHANNEL_STATUS;
    return CHANNEL_MESSAGE;
}

bool channel_is_own_word(const json_t *value)
{
    const char *command = json_string_value(json_object_get(value, "cmd"));
    return string_equal(json_string_value(value), "graceful_shutdown") ||
           json_object_get(value, "reloader") ||
           (command && string_starts_with(command, "NODE_"));
}

/* Being edge-triggered, this also asks anew for what is still there: setting the events looks at the socket again. */
static void update_events(struct channel *channel)
{
    uint32_t events = EPOLLET;
    if (!channel->resting)
        events |= EPOLLIN;
    if (buffer_size(&channel->out) > 0)
        events |= EPOLLOUT;
    if (channel->closed || events == EPOLLET)
        (void)sd_event_source_set_enabled(channel->io, SD_EVENT_OFF);
    else if (sd_event_source_set_io_events(channel->io, events) >= 0)
        (void)sd_event_source_set_enabled(channel->io, SD_EVENT_ON);
}

static void complain(struct channel *channel, const char *what)
{
    unsigned suppressed;
    if (!log_limit_pass(&channel->complaints, &suppressed))
        return;
    if (suppressed > 0)
        log_about((struct log_subject){.worker = channel->name}, LOG_LEVEL_WARNING,
                  "channel: %s (and %u more since the last such line)", what, suppressed);
    else
        log_about((struct log_subject){.worker = channel->name}, LOG_LEVEL_WARNING, "channel: %s",
                  what);
}

static void handle_line(struct channel *channel, const char *line, size_t size)
{
    if (size == 0)
        return;
    json_t *value = json_loadb(line, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!value) {
        complain(channel,
                 "dropped a line that is no JSON value; each line must be one, strings in quotes");
        return;
    }
    channel->ops->received(channel_classify(value), value, channel->userdata);
    json_decref(value);
}

/* Deals with the lines that are here. False: the budget is spent. */
static bool handle_lines(struct channel *channel)
{
    char *line;
    size_t size;
    int r;
    while ((r = buffer_next_frame(&channel->in, '\n', &line, &size)) != 0) {
        if (r < 0)
            complain(channel, "dropped a line of more than 64 KiB");
        else
            handle_line(channel, line, size);
        if (!throttle_spend(&channel->throttle, CHANNEL_LINE_COST))
            return false;
    }
    return true;
}

/* 1: something was read, 0: nothing there, or -errno; -EPIPE at the end of the file. */
static int receive_some(struct channel *channel)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    } control;
    struct iovec vector;
    char *space;
    int r = buffer_reserve(&channel->in, &space, &vector.iov_len);
    if (r < 0)
        return r;
    vector.iov_base = space;
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (fd_close_received(&message) > 0)
        complain(channel, "closed file descriptors that nobody asked for");
    if (n == 0)
        return -EPIPE;
    buffer_commit(&channel->in, (size_t)n);
    (void)throttle_spend(&channel->throttle, (unsigned)n);
    return 1;
}

static void mark_closed(struct channel *channel, bool unread)
{
    if (channel->closed)
        return;
    channel->closed = true;
    buffer_clear(&channel->out);
    update_events(channel);
    channel->ops->closed(unread, channel->userdata);
}

static void read_lines(struct channel *channel, unsigned reads)
{
    for (unsigned i = 0; i < reads && !channel->closed; i++) {
        int r = receive_some(channel);
        if (r < 0) {
            mark_closed(channel, r == -ECONNRESET);
            return;
        }
        if (!handle_lines(channel)) {
            channel->resting = true;
            update_events(channel);
            return;
        }
        if (r == 0)
            return;
    }
    update_events(channel); /* there may be more: after the others had their turn */
}

static int on_io(sd_event_source *source UNUSED, int fd, uint32_t revents, void *userdata)
{
    struct channel *channel = userdata;
    if (revents & EPOLLOUT) {
        if (buffer_send(&channel->out, fd) < 0)
            buffer_clear(&channel->out);
        update_events(channel);
    }
    if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_lines(channel, CHANNEL_READS_AT_ONCE);
    return 0;
}

static int on_resume(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct channel *channel = userdata;
    if (!handle_lines(channel))
        return 0;
    channel->resting = false;
    update_events(channel);
    return 0;
}

int channel_new(sd_event *event, const char *name, const struct channel_ops *ops, void *userdata,
                struct channel **ret, int *ret_worker_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    CLEANUP_FD int worker_fd = pair[1];
    CLEANUP(channel_freep) struct channel *channel = calloc(1, sizeof(*channel));
    if (!channel) {
        (void)fd_close(pair[0]);
        return -ENOMEM;
    }
    *channel = (struct channel){
        .name = name,
        .ops = ops,
        .userdata = userdata,
        .fd = pair[0],
        .complaints = {.interval_usec = 10 * USEC_PER_SEC, .burst = 3},
    };
    buffer_init(&channel->in, CHANNEL_LINE_MAX + 1);
    buffer_init(&channel->out, CHANNEL_LINE_MAX + 1 + CHANNEL_OWN_WORDS);

    int r = throttle_init(&channel->throttle, event, CHANNEL_BUDGET, on_resume, channel);
    if (r < 0)
        return r;
    r = sd_event_add_io(event, &channel->io, channel->fd, EPOLLIN | EPOLLET, on_io, channel);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(channel->io, "worker-channel");
    *ret = TAKE_PTR(channel);
    *ret_worker_fd = TAKE_FD(worker_fd);
    return 0;
}

struct channel *channel_free(struct channel *channel)
{
    if (!channel)
        return NULL;
    (void)sd_event_source_disable_unref(channel->io);
    throttle_clear(&channel->throttle);
    buffer_clear(&channel->in);
    buffer_clear(&channel->out);
    (void)fd_close(channel->fd);
    free(channel);
    return NULL;
}

static int queue_line(struct channel *channel, const json_t *value)
{
    if (channel->closed)
        return -EPIPE;
    CLEANUP_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text)
        return -ENOMEM;
    size_t length = strlen(text);
    text[length] = '\n'; /* takes the place of the NUL: all is counted from here on */
    return buffer_append(&channel->out, text, length + 1);
}

static int send_queued(struct channel *channel)
{
    int r = buffer_send(&channel->out, channel->fd);
    if (r < 0) {
        buffer_clear(&channel->out);
        return r;
    }
    update_events(channel);
    return 0;
}

int channel_send(struct channel *channel, const json_t *value)
{
    int r = queue_line(channel, value);
    return r < 0 ? r : send_queued(channel);
}

int channel_send_line(struct channel *channel, const char *line, size_t size)
{
    if (channel->closed)
        return -EPIPE;
    if (buffer_size(&channel->out) + size > CHANNEL_LINE_MAX)
        return -ENOBUFS;
    int r = buffer_append(&channel->out, line, size);
    return r < 0 ? r : send_queued(channel);
}

int channel_send_fds(struct channel *channel, const json_t *value, const int *fds, size_t n_fds)
{
    if (buffer_size(&channel->out) > 0)
        return -EAGAIN;
    int r = queue_line(channel, value);
    if (r < 0)
        return r;
    r = buffer_send_fds(&channel->out, channel->fd, fds, n_fds);
    if (r < 0) {
        buffer_clear(&channel->out);
        return r;
    }
    update_events(channel);
    return 0;
}

bool channel_is_unread(const struct channel *channel)
{
    int bytes = 0;
    if (channel->closed)
        return false;
    if (buffer_size(&channel->out) > 0)
        return true;
    return ioctl(channel->fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

bool channel_is_closed(const struct channel *channel)
{
    return channel->closed;
}

/* Nobody writes any more: there is nothing to throttle, and no later to wait for. */
void channel_read_rest(struct channel *channel)
{
    int r = 1;
    for (unsigned i = 0; i < CHANNEL_REST_READS && r > 0 && !channel->closed; i++) {
        while (!handle_lines(channel))
            ;
        r = receive_some(channel);
    }
    if (r < 0)
        mark_closed(channel, r == -ECONNRESET);
}
