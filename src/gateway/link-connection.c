#include "gateway/link-connection.h"

#include "base/buffer.h"
#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Read in one turn of the loop, so that a status of thousands of workers needs few turns and a flood of events leaves room for others. */
#define RECEIVES_MAX 64

struct link_connection {
    const struct link_connection_ops *ops;
    void *userdata;
    int fd;
    sd_event_source *io;
    struct buffer in, out;
    int passed_fd;            /* came with what is being read */
    bool busy, more;          /* a call is on its way; it may have several replies */
    bool dispatching, doomed; /* freed by a callback of ours, which is still running */
};

static void close_it(struct link_connection *c)
{
    c->io = sd_event_source_disable_unref(c->io);
    c->fd = fd_close(c->fd);
    c->passed_fd = fd_close(c->passed_fd);
    buffer_clear(&c->in);
    buffer_clear(&c->out);
}

struct link_connection *link_connection_free(struct link_connection *c)
{
    if (!c)
        return NULL;
    close_it(c);
    if (c->dispatching)
        c->doomed = true;
    else
        free(c);
    return NULL;
}

bool link_connection_is_busy(const struct link_connection *c)
{
    return c->busy;
}

static int watch(struct link_connection *c)
{
    return sd_event_source_set_io_events(c->io,
                                         EPOLLIN | (buffer_size(&c->out) > 0 ? EPOLLOUT : 0u));
}

/* Who can't send will be told so by the loop as well, once it has read what the master said last. */
static int send_queued(struct link_connection *c)
{
    int r = buffer_send(&c->out, c->fd);
    if (r < 0)
        buffer_clear(&c->out);
    return watch(c);
}

int link_connection_call(struct link_connection *c, const char *text, size_t size, bool more)
{
    int r = buffer_append(&c->out, text, size);
    if (r < 0)
        return r;
    c->busy = true;
    c->more = more;
    return send_queued(c);
}

/* 1: there may be more, 0: nothing more now, or -errno, when the master is gone as well. */
static int receive(struct link_connection *c)
{
    char *space;
    size_t size;
    int r = buffer_reserve(&c->in, &space, &size);
    if (r < 0)
        return r;
    ssize_t n = fd_receive(c->fd, space, size, &c->passed_fd);
    if (n < 0)
        return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
    if (n == 0)
        return -ECONNRESET;
    buffer_commit(&c->in, (size_t)n);
    return 1;
}

/* Workers may say what they like, a NUL in a string of theirs too. */
static int parse(const char *frame, size_t size, json_t **ret_message, struct link_reply *ret)
{
    json_auto_t *message = json_loadb(frame, size, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(message))
        return -EBADMSG;
    json_t *error = json_object_get(message, "error");
    json_t *parameters = json_object_get(message, "parameters");
    if (!parameters || json_is_null(parameters)) {
        parameters = json_object();
        if (json_object_set_new(message, "parameters", parameters) < 0)
            return -ENOMEM;
    }
    if (!json_is_object(parameters) || (error && !json_is_string(error)))
        return -EBADMSG;
    *ret = (struct link_reply){.error = json_string_value(error),
                               .parameters = parameters,
                               .continues = !error &&
                                            json_is_true(json_object_get(message, "continues"))};
    *ret_message = TAKE_PTR(message);
    return 0;
}

static int take_reply(struct link_connection *c, const char *frame, size_t size)
{
    struct link_reply reply;
    json_auto_t *message = NULL;
    int r = parse(frame, size, &message, &reply);
    if (r < 0)
        return r;
    if (!c->busy || (reply.continues && !c->more))
        return -EPROTO;
    CLEANUP_FD int fd = TAKE_FD(c->passed_fd);
    c->busy = reply.continues;
    c->ops->reply(&reply, &fd, c->userdata);
    return 0;
}

/* Who frees the connection empties the buffer as well. */
static int take_replies(struct link_connection *c)
{
    char *frame;
    size_t size;
    int r = 0;
    while (r >= 0) {
        r = buffer_next_frame(&c->in, '\0', &frame, &size);
        if (r <= 0)
            return r;
        r = take_reply(c, frame, size);
    }
    return r;
}

/* Replies are taken as they come, so that the buffer need hold no more than one. */
static int read_replies(struct link_connection *c)
{
    int r = 1, taken = 0;
    for (unsigned i = 0; i < RECEIVES_MAX && r > 0 && taken >= 0 && !c->doomed; i++) {
        r = receive(c);
        taken = r > 0 ? take_replies(c) : 0;
    }
    return r < 0 ? r : taken;
}

static int on_io(UNUSED sd_event_source *source, UNUSED int fd, uint32_t events, void *userdata)
{
    struct link_connection *c = userdata;
    c->dispatching = true;
    int r = events & EPOLLOUT ? send_queued(c) : 0;
    if (r >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        r = read_replies(c);
    if (r < 0 && !c->doomed) {
        close_it(c);
        c->ops->gone(c->userdata);
    }
    c->dispatching = false;
    if (c->doomed)
        free(c);
    return 0;
}

int link_connection_new(sd_event *event, int fd, const struct link_connection_ops *ops,
                        void *userdata, struct link_connection **ret)
{
    CLEANUP_FD int own = fd;
    struct link_connection *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    *c = (struct link_connection){
        .ops = ops, .userdata = userdata, .fd = TAKE_FD(own), .passed_fd = -1};
    buffer_init(&c->in, LINK_REPLY_MAX);
    buffer_init(&c->out, LINK_CALL_MAX);
    int r = fd_set_nonblocking(c->fd, true);
    if (r >= 0)
        r = sd_event_add_io(event, &c->io, c->fd, EPOLLIN, on_io, c);
    if (r < 0) {
        (void)link_connection_free(c);
        return r;
    }
    (void)sd_event_source_set_description(c->io, "link");
    *ret = c;
    return 0;
}
