#include "control/client.h"

#include "base/fd.h"
#include "base/lines.h"
#include "control/answer.h"
#include "control/connection.h"

#include <errno.h>
#include <string.h>

/* Of lines that somebody follows, unread by it; events may be more. */
#define LINES_PENDING_MAX ((size_t)256 << 10)

const struct control_ops *client_ops(const struct client *client)
{
    return client->options->ops;
}

const struct control_peer *client_peer(const struct client *client)
{
    return &client->peer;
}

void *client_ops_userdata(const struct client *client)
{
    return client->options->ops_userdata;
}

void client_reply(struct client *client, json_t *parameters, bool continues)
{
    connection_reply(client->connection, parameters, continues);
}

void client_reply_fd(struct client *client, json_t *parameters, int fd)
{
    connection_reply_fd(client->connection, parameters, fd);
}

void client_error(struct client *client, const char *error, json_t *parameters)
{
    connection_error(client->connection, error, parameters);
}

/* Lines that it follows */

static size_t count_lines(json_t *lines)
{
    const char *text = json_string_value(json_object_get(lines, "text"));
    return text ? lines_count(text, strlen(text)) : 0;
}

static void stream_lines(struct client *client, json_t *lines, uint64_t missed)
{
    json_auto_t *copy = json_copy(lines);
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    if (missed > 0 && copy)
        (void)json_object_set_new(copy, "missed", json_integer((json_int_t)missed));
    json_auto_t *parameters = copy ? json_pack("{s:O}", "lines", copy) : NULL;
    if (parameters && varlink_encode_reply(parameters, true, &text, &size) == 0)
        connection_stream(client->connection, text, size);
}

static void pass_lines(struct client *client, json_t *lines)
{
    uint64_t missed = client->missed +
                      (uint64_t)json_integer_value(json_object_get(lines, "missed"));
    bool has_room = connection_pending(client->connection) <= LINES_PENDING_MAX;
    json_decref(client->missed_of);
    client->missed_of = has_room ? NULL : json_copy(lines);
    client->missed = has_room ? 0 : missed + count_lines(lines);
    if (has_room)
        stream_lines(client, lines, missed);
}

void client_pass_lines(struct client *client, uint64_t id, json_t *lines)
{
    if (client->waiting == WAITING_FOR_LINES && client->awaited == id)
        pass_lines(client, lines);
}

/* Of what found no room it is told as soon as it has read the rest, also when nothing is printed any more. */
static void tell_missed_lines(struct client *client)
{
    json_auto_t *lines = TAKE_PTR(client->missed_of);
    if (!lines || json_object_set_new(lines, "text", json_string("")) < 0)
        return;
    stream_lines(client, lines, client->missed);
    client->missed = 0;
}

/* Waiting */

bool client_hears_events(const struct client *client)
{
    switch (client->waiting) {
    case WAITING_FOR_RELOAD:
    case WAITING_FOR_JOB:
    case WAITING_FOR_EVENTS:
        return true;
    case WAITING_NOT:
    case WAITING_FOR_LINES:
    case WAITING_FOR_ANSWER:
        break;
    }
    return false;
}

void client_stop_waiting(struct client *client)
{
    if (client->waiting == WAITING_FOR_LINES)
        client_ops(client)->unfollow(client->awaited, client_ops_userdata(client));
    if (client->waiting == WAITING_FOR_ANSWER)
        client_ops(client)->forget(client->awaited, client_ops_userdata(client));
    subscription_end(&client->subscription);
    client->waiting = WAITING_NOT;
}

/* The result as the master keeps it; else what the event says, so that nobody waits for ever. */
static void end_reload(struct client *client, json_t *event)
{
    json_auto_t *result = client_ops(client)->reload_result(client->awaited,
                                                            client_ops_userdata(client));
    client->waiting = WAITING_NOT;
    if (result || event)
        client_reply(client, result ? result : event, false);
    else
        client_error(client, CONTROL_ERROR_SHUTTING_DOWN, NULL);
}

int client_connect(struct client *client, int *ret_fd)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return -errno;
    int r = client->options->add(client, ends[0], client->options->userdata);
    if (r < 0) {
        (void)fd_close(ends[1]);
        return r;
    }
    *ret_fd = ends[1];
    return 0;
}

void client_wait_for_reload(struct client *client, uint64_t id, bool more)
{
    json_auto_t *result = client_ops(client)->reload_result(id, client_ops_userdata(client));
    if (result) {
        client_reply(client, result, false);
        return;
    }
    if (client->over)
        return;
    client->waiting = WAITING_FOR_RELOAD;
    client->awaited = id;
    client->more = more;
}

void client_wait_for_job(struct client *client, uint64_t id, bool more)
{
    if (client->over)
        return;
    client->waiting = WAITING_FOR_JOB;
    client->awaited = id;
    client->more = more;
}

static void feed(struct client *client)
{
    bool told = subscription_feed(&client->subscription, client->options->events,
                                  client->connection);
    if (!told || !client->finishing || client->over)
        return;
    client_stop_waiting(client);
    client_reply(client, NULL, false);
}

/* What the first reply tells: whose numbers these are, and up to which one events are there already. */
static json_t *describe_beginning(const struct client *client, bool ours)
{
    return json_pack("{s:I, s:I, s:o*}", "start", (json_int_t)client->options->start, "last",
                     (json_int_t)client->options->events->last, "restarted",
                     ours ? NULL : json_true());
}

void client_subscribe(struct client *client, struct subscription_wish *wish)
{
    bool ours = subscription_begin(&client->subscription, wish, client->options->events,
                                   client->options->start);
    json_auto_t *beginning = describe_beginning(client, ours);
    client->waiting = WAITING_FOR_EVENTS;
    if (!client->over)
        client_reply(client, beginning, true);
    if (client->over)
        client_stop_waiting(client);
    else
        feed(client);
}

void client_follow(struct client *client, uint64_t id)
{
    client->waiting = WAITING_FOR_LINES;
    client->awaited = id;
    client->missed = 0;
    if (client->over)
        client_stop_waiting(client);
}

void client_wait_for_answer(struct client *client, uint64_t id)
{
    client->waiting = WAITING_FOR_ANSWER;
    client->awaited = id;
    if (client->over)
        client_stop_waiting(client);
}

void client_answer(struct client *client, uint64_t id, json_t *parameters)
{
    if (client->waiting != WAITING_FOR_ANSWER || client->awaited != id)
        return;
    client->waiting = WAITING_NOT;
    answer(client, json_incref(parameters));
}

static bool is_about(uint64_t id, json_t *event)
{
    return json_integer_value(json_object_get(event, "id")) == (json_int_t)id;
}

/* Of a reload, or of a job. */
static bool is_end(uint64_t id, json_t *event)
{
    const char *state = json_string_value(json_object_get(event, "state"));
    return state && strcmp(state, "ended") == 0 && is_about(id, event);
}

static void end_job(struct client *client, json_t *event)
{
    client->waiting = WAITING_NOT;
    json_auto_t *results = event ? json_pack("{s:I, s:O}", "id", (json_int_t)client->awaited,
                                             "results", json_object_get(event, "results"))
                                 : NULL;
    if (results)
        client_reply(client, results, false);
    else
        client_error(client, CONTROL_ERROR_SHUTTING_DOWN, NULL);
}

static void stream_progress(struct client *client, const struct publication *p)
{
    json_auto_t *parameters = json_pack("{s:I, s:I, s:O}", "id", (json_int_t)client->awaited,
                                        "sequence", (json_int_t)p->sequence, "event", p->brief);
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    if (parameters && varlink_encode_reply(parameters, true, &text, &size) == 0)
        connection_stream(client->connection, text, size);
}

void client_tell(struct client *client, const struct publication *p)
{
    unsigned progress = event_filter_type("reload") | event_filter_type("rollout") |
                        event_filter_type("worker");
    switch (client->waiting) {
    case WAITING_NOT:
        break;
    case WAITING_FOR_RELOAD:
        if (p->type == event_filter_type("reload") && is_end(client->awaited, p->event))
            end_reload(client, p->event);
        else if (client->more && (p->type & progress))
            stream_progress(client, p);
        break;
    case WAITING_FOR_JOB:
        if (p->type == event_filter_type("job") && is_end(client->awaited, p->event))
            end_job(client, p->event);
        else if (client->more && p->type == event_filter_type("job") &&
                 is_about(client->awaited, p->event))
            stream_progress(client, p);
        break;
    case WAITING_FOR_EVENTS:
        feed(client);
        break;
    case WAITING_FOR_LINES:
    case WAITING_FOR_ANSWER:
        break;
    }
}

void client_finish(struct client *client)
{
    connection_finish(client->connection);
    switch (client->waiting) {
    case WAITING_NOT:
        break;
    case WAITING_FOR_RELOAD:
        end_reload(client, NULL);
        break;
    case WAITING_FOR_JOB:
        end_job(client, NULL);
        break;
    case WAITING_FOR_EVENTS:
        client->finishing = true;
        feed(client);
        break;
    case WAITING_FOR_LINES:
        client_stop_waiting(client);
        client_reply(client, NULL, false);
        break;
    case WAITING_FOR_ANSWER:
        client_stop_waiting(client);
        client_error(client, CONTROL_ERROR_SHUTTING_DOWN, NULL);
        break;
    }
}

int client_flush(struct client *client)
{
    int fd = connection_flush(client->connection);
    /* Every turn sends some of the ring, to which nothing is added any more. */
    while (fd < 0 && client->waiting == WAITING_FOR_EVENTS) {
        feed(client);
        fd = connection_flush(client->connection);
    }
    return fd;
}

size_t client_pending(const struct client *client)
{
    return connection_pending(client->connection);
}

bool client_is_idle(const struct client *client, uint64_t *ret_since_usec)
{
    return connection_is_idle(client->connection, ret_since_usec);
}

bool client_push(struct client *client)
{
    return connection_push(client->connection);
}

void client_close(struct client *client, const char *reason)
{
    connection_close(client->connection, reason);
}

/* Its life */

static void on_drained(void *userdata)
{
    struct client *client = userdata;
    switch (client->waiting) {
    case WAITING_FOR_EVENTS:
        feed(client);
        break;
    case WAITING_FOR_LINES:
        tell_missed_lines(client);
        break;
    case WAITING_NOT:
    case WAITING_FOR_RELOAD:
    case WAITING_FOR_JOB:
    case WAITING_FOR_ANSWER:
        break;
    }
}

static void on_call(const struct varlink_call *call, void *userdata)
{
    struct client *client = userdata;
    client->options->call(client, call);
}

static void on_closed(const char *reason, void *userdata)
{
    struct client *client = userdata;
    client->over = true;
    client_stop_waiting(client);
    client->options->closed(client, reason, client->options->userdata);
}

struct client *client_free(struct client *client)
{
    if (!client)
        return NULL;
    list_remove(&client->in_service);
    (void)connection_free(client->connection);
    json_decref(client->missed_of);
    subscription_end(&client->subscription);
    free(client);
    return NULL;
}

int client_new(int fd, const struct client_options *options, const struct control_peer *peer,
               struct client **ret)
{
    static const struct connection_ops ops = {
        .call = on_call, .drained = on_drained, .closed = on_closed};
    CLEANUP_FD int own = fd;
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    *client = (struct client){.options = options, .peer = *peer};
    list_init(&client->in_service);
    bool stays = peer->role == CONTROL_ROLE_GATEWAY;
    const struct connection_options connection = {
        .ops = &ops,
        .userdata = client,
        .message_timeout_usec = options->message_timeout_usec,
        .idle_timeout_usec = stays ? UINT64_MAX : options->idle_timeout_usec,
    };
    int r = connection_new(options->event, TAKE_FD(own), &connection, &client->connection);
    if (r < 0)
        (void)client_free(client);
    else
        *ret = client;
    return r;
}
