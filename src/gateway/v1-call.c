#include "gateway/v1-call.h"

#include "base/strv.h"
#include "control/methods.h"

#include <errno.h>
#include <string.h>

struct v1_call {
    struct http_request *request;
    struct gateway *gateway;
    const struct command *command;
    struct link_call *call; /* NULL: it has ended */
    bool streams, has_begun;
    sd_event_source *heartbeat; /* of a stream */
};

/* What the link says where the master said nothing. */
static const struct {
    const char *error, *kind;
} own_errors[] = {
    {LINK_ERROR_GONE, "NoMaster"},
    {LINK_ERROR_BUSY, "TooManyCalls"},
    {LINK_ERROR_TIMEOUT, "NoAnswer"},
    {LINK_ERROR_INVALID, "TooLarge"},
};

static struct v1_call *call_free(struct v1_call *call)
{
    if (!call)
        return NULL;
    (void)link_cancel(call->call);
    (void)sd_event_source_disable_unref(call->heartbeat);
    free(call);
    return NULL;
}
DEFINE_FREEP(struct v1_call *, call_free)

/* Errors */

/* NULL: an error that this version does not know. */
static const struct problem_kind *find_kind(const char *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(own_errors); i++)
        if (strcmp(error, own_errors[i].error) == 0)
            return problem_find(own_errors[i].kind);
    return problem_find(error);
}

/* The problem that a reply is; NULL when memory is short. */
static json_t *reply_to_problem(const struct link_reply *reply, const struct problem_kind **ret)
{
    const struct problem_kind *kind = find_kind(reply->error);
    json_auto_t *members = kind ? json_incref(reply->parameters)
                                : json_pack("{s:s}", "error", reply->error);
    if (!kind)
        kind = problem_find("NotUnderstood");
    json_t *problem = problem_new(kind, members);
    *ret = kind;
    return problem;
}

/* Takes over the problem. */
static void send_problem(struct http_request *request, const struct problem_kind *kind,
                         json_t *problem)
{
    CLEANUP_FREE char *text = problem ? json_dumps(problem, JSON_COMPACT) : NULL;
    json_decref(problem);
    if (!text) {
        http_reply_problem(request, 500, NULL);
        return;
    }
    if (kind->status == 429 || kind->status == 503)
        http_add_header(request, "Retry-After", "1");
    http_reply(request, kind->status, PROBLEM_CONTENT_TYPE, text, strlen(text));
}

void v1_reply_problem(struct http_request *request, const struct problem_kind *kind,
                      json_t *members)
{
    send_problem(request, kind, problem_new(kind, members));
}

/* Streams */

/* Up to `limit` bytes are kept for the client; false: this did not fit. */
static bool send_event(struct v1_call *call, const char *event, json_t *data, size_t limit)
{
    CLEANUP_FREE char *json = json_dumps(data, JSON_COMPACT);
    CLEANUP_FREE char *text = json ? string_format("event: %s\ndata: %s\n\n", event, json) : NULL;
    size_t size = text ? strlen(text) : 0;
    return text && http_stream_pending(call->request) + size <= limit &&
           http_stream_send(call->request, text, size) == 0;
}

/* Frees the call. A problem that is given, and taken over, is told first. */
static void end_stream(struct v1_call *call, json_t *problem)
{
    json_auto_t *nothing = json_object();
    if (problem)
        (void)send_event(call, "error", problem, HTTP_STREAM_QUEUE_MAX);
    (void)send_event(call, "end", nothing, HTTP_STREAM_QUEUE_MAX);
    json_decref(problem);
    http_stream_end(call->request);
    (void)call_free(call);
}

static void end_too_slow(struct v1_call *call)
{
    end_stream(call, problem_new(problem_find("TooSlow"), NULL));
}

static int on_heartbeat(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct v1_call *call = userdata;
    static const char comment[] = ":\n\n";
    (void)sd_event_source_set_time(source, usec + V1_HEARTBEAT_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    if (http_stream_pending(call->request) > HTTP_STREAM_QUEUE_MAX - V1_STREAM_RESERVE ||
        http_stream_send(call->request, comment, strlen(comment)) < 0)
        end_too_slow(call);
    return 0;
}

static void begin_stream(struct v1_call *call)
{
    call->has_begun = true;
    http_stream_begin(call->request, "text/event-stream");
    (void)sd_event_source_set_time_relative(call->heartbeat, V1_HEARTBEAT_USEC);
    (void)sd_event_source_set_enabled(call->heartbeat, SD_EVENT_ONESHOT);
}

/* May free the call. */
static void stream_reply(struct v1_call *call, const struct link_reply *reply)
{
    const struct problem_kind *kind;
    if (!call->has_begun)
        begin_stream(call);
    if (reply->error)
        end_stream(call, reply_to_problem(reply, &kind));
    else if (!send_event(call, "reply", reply->parameters,
                         HTTP_STREAM_QUEUE_MAX - V1_STREAM_RESERVE))
        end_too_slow(call);
    else if (!reply->continues)
        end_stream(call, NULL);
}

/* Answers */

/* Frees the call. */
static void answer(struct v1_call *call, const struct link_reply *reply)
{
    struct http_request *request = call->request;
    const struct problem_kind *kind;
    (void)call_free(call);
    if (reply->error) {
        json_t *problem = reply_to_problem(reply, &kind);
        send_problem(request, kind, problem);
    } else {
        http_reply_json(request, 200, json_incref(reply->parameters));
    }
}

/* An error that comes first of all has a status. */
static void on_reply(const struct link_reply *reply, void *userdata)
{
    struct v1_call *call = userdata;
    if (!reply->continues)
        call->call = NULL;
    if (call->command->acts)
        link_forget_status(call->gateway->link);
    if (call->has_begun || (call->streams && !reply->error))
        stream_reply(call, reply);
    else
        answer(call, reply);
}

static void on_gone(void *userdata)
{
    (void)call_free(userdata);
}

/* What waits for the end of something, or for a look at many processes. */
static unsigned choose_flags(const struct v1_call *call)
{
    if (call->streams)
        return LINK_MORE;
    return call->command->acts || call->command->method == METHOD_WHY ? LINK_LONG : 0;
}

static int make_call(struct v1_call *call, json_t *parameters)
{
    struct gateway *gateway = call->gateway;
    json_auto_t *own = parameters;
    if (call->streams) {
        int r = sd_event_add_time_relative(gateway->event, &call->heartbeat, CLOCK_MONOTONIC,
                                           V1_HEARTBEAT_USEC, USEC_PER_SEC, on_heartbeat, call);
        if (r >= 0)
            r = sd_event_source_set_enabled(call->heartbeat, SD_EVENT_OFF);
        if (r < 0)
            return r;
        (void)sd_event_source_set_description(call->heartbeat, "v1-heartbeat");
    }
    if (call->command->method == METHOD_STATUS)
        return link_status(gateway->link, on_reply, call, &call->call);
    return link_call(gateway->link, call->command->name, TAKE_PTR(own), choose_flags(call),
                     on_reply, call, &call->call);
}

void v1_call(struct http_request *request, struct gateway *gateway, const struct command *command,
             json_t *parameters, bool streams)
{
    CLEANUP(call_freep) struct v1_call *call = calloc(1, sizeof(*call));
    int r = -ENOMEM;
    if (call) {
        *call = (struct v1_call){
            .request = request, .gateway = gateway, .command = command, .streams = streams};
        r = make_call(call, parameters);
    } else {
        json_decref(parameters);
    }
    if (r < 0) {
        http_reply_problem(request, 500, NULL);
        return;
    }
    http_on_gone(request, on_gone, TAKE_PTR(call));
    if (streams)
        http_will_stream(request);
}
