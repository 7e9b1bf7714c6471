#include "control/service.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/lines.h"
#include "base/list.h"
#include "base/log.h"
#include "control/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

/* What a client's call waits for. */
enum waiting { WAITING_NOT, WAITING_FOR_RELOAD, WAITING_FOR_JOB, WAITING_FOR_EVENTS, WAITING_FOR_LINES };

/* Of lines that somebody follows, unread by it; events may be more. */
#define LINES_PENDING_MAX ((size_t)256 << 10)

struct client {
    struct service *service;
    struct list in_service;
    struct connection *connection;
    struct ucred peer;
    enum control_role role;
    enum waiting waiting;
    bool over;
    bool more;        /* WAITING_FOR_RELOAD, WAITING_FOR_JOB: tell the progress */
    uint64_t awaited; /* likewise, and WAITING_FOR_LINES: the id */
    uint64_t missed;  /* WAITING_FOR_LINES: lines that found no room, and it was not told of */
    json_t *missed_of; /* likewise: whose the last of them were; NULL: there are none */
    unsigned types;   /* WAITING_FOR_EVENTS */
};

struct service {
    struct service_options options;
    sd_event *event;
    sd_event_source *reaper;
    struct list clients;
    size_t n_clients;
    struct log_limit limit; /* for what clients can make us say */
};

static const char *const event_types[] = {"master",  "reload", "rollout", "worker",
                                          "message", "log",    "socket",  "job"};

/* The bit of types that Subscribe does not know by name; who asked for all gets them. */
#define EVENT_TYPE_OTHER (1u << 31)

unsigned service_event_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(event_types); i++)
        if (strcmp(event_types[i], name) == 0)
            return 1u << i;
    return 0;
}

/* Clients */

static struct client *client_free(struct client *client)
{
    if (!client)
        return NULL;
    list_remove(&client->in_service);
    client->service->n_clients--;
    (void)connection_free(client->connection);
    json_decref(client->missed_of);
    free(client);
    return NULL;
}

static int on_reaper(UNUSED sd_event_source *source, void *userdata)
{
    struct service *service = userdata;
    LIST_FOREACH_SAFE (client, &service->clients, struct client, in_service)
        if (client->over)
            (void)client_free(client);
    return 0;
}

static void stop_waiting(struct client *client)
{
    if (client->waiting == WAITING_FOR_LINES)
        client_ops(client)->unfollow(client->awaited, client_ops_userdata(client));
    client->waiting = WAITING_NOT;
}

static void on_closed(const char *reason, void *userdata)
{
    struct client *client = userdata;
    struct service *service = client->service;
    unsigned suppressed;
    client->over = true;
    stop_waiting(client);
    /* Its only failure is want of memory; then the next client that leaves takes this one along. */
    (void)sd_event_source_set_enabled(service->reaper, SD_EVENT_ONESHOT);
    if (!reason || !log_limit_pass(&service->limit, &suppressed))
        return;
    log_warning("control: closed a client (pid %d, uid %u): %s", (int)client->peer.pid,
                client->peer.uid, reason);
    if (suppressed > 0)
        log_warning("control: %u more clients were closed before it", suppressed);
}

const struct control_ops *client_ops(const struct client *client)
{
    return client->service->options.ops;
}

const struct ucred *client_peer(const struct client *client)
{
    return &client->peer;
}

void *client_ops_userdata(const struct client *client)
{
    return client->service->options.userdata;
}

void client_reply(struct client *client, json_t *parameters, bool continues)
{
    connection_reply(client->connection, parameters, continues);
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
    uint64_t missed = client->missed + (uint64_t)json_integer_value(json_object_get(lines, "missed"));
    bool has_room = connection_pending(client->connection) <= LINES_PENDING_MAX;
    json_decref(client->missed_of);
    client->missed_of = has_room ? NULL : json_copy(lines);
    client->missed = has_room ? 0 : missed + count_lines(lines);
    if (has_room)
        stream_lines(client, lines, missed);
}

/* Of what found no room it is told as soon as it has read the rest, also when nothing is printed any more. */
static void on_drained(void *userdata)
{
    struct client *client = userdata;
    json_auto_t *lines = TAKE_PTR(client->missed_of);
    if (client->waiting != WAITING_FOR_LINES || !lines ||
        json_object_set_new(lines, "text", json_string("")) < 0)
        return;
    stream_lines(client, lines, client->missed);
    client->missed = 0;
}

/* Calls */

static void refuse(struct client *client, const char *error, const char *member, const char *value)
{
    json_auto_t *parameters = json_pack("{s:s}", member, value);
    client_error(client, error, parameters);
}

static void refuse_parameter(struct client *client, const struct varlink_call *call,
                             const char *name, int r)
{
    if (r != -EOPNOTSUPP) {
        refuse(client, VARLINK_ERROR_INVALID_PARAMETER, "parameter", name);
        return;
    }
    json_auto_t *parameters = json_pack("{s:s, s:s}", "method", call->method, "parameter", name);
    client_error(client, SERVICE_ERROR_NOT_IN_THIS_VERSION, parameters);
}

static void run_command(struct client *client, const struct command *command,
                        const struct varlink_call *call)
{
    const char *name = NULL;
    if (!command->handle) {
        refuse(client, SERVICE_ERROR_NOT_IN_THIS_VERSION, "method", call->method);
        return;
    }
    if (client->role < command->role) {
        client_error(client, SERVICE_ERROR_PERMISSION_DENIED, NULL);
        return;
    }
    int r = command_check(command, call->parameters, &name);
    if (r < 0) {
        refuse_parameter(client, call, name, r);
        return;
    }
    if (command->streams && !call->more) {
        client_error(client, VARLINK_ERROR_EXPECTED_MORE, NULL);
        return;
    }
    command->handle(command, call, client);
}

static void on_call(const struct varlink_call *call, void *userdata)
{
    struct client *client = userdata;
    const struct service_options *options = &client->service->options;
    size_t length;
    const char *name = varlink_method_name(call->method, &length);
    const struct command_interface *interface = command_find_interface(
        options->interfaces, options->n_interfaces, call->method, length);
    if (!interface) {
        json_auto_t *parameters = json_pack("{s:s%}", "interface", call->method, length);
        client_error(client, VARLINK_ERROR_INTERFACE_NOT_FOUND, parameters);
        return;
    }
    const struct command *command = command_find(interface, name);
    if (!command)
        refuse(client, VARLINK_ERROR_METHOD_NOT_FOUND, "method", call->method);
    else if (call->upgrade)
        refuse(client, VARLINK_ERROR_METHOD_NOT_IMPLEMENTED, "method", call->method);
    else
        run_command(client, command, call);
    /* Nobody is there to be told. */
    if (call->oneway)
        stop_waiting(client);
}

void service_turn_away(int fd, const char *error)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    if (varlink_encode_error(error, NULL, &text, &size) == 0)
        (void)send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int service_add(struct service *service, int fd, const struct ucred *peer, enum control_role role)
{
    static const struct connection_ops ops = {.call = on_call, .drained = on_drained, .closed = on_closed};
    CLEANUP_FD int own = fd;
    if (service->n_clients >= SERVICE_CLIENTS_MAX) {
        service_turn_away(own, SERVICE_ERROR_TOO_MANY_CLIENTS);
        return -EBUSY;
    }
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    *client = (struct client){.service = service, .peer = *peer, .role = role};
    list_append(&service->clients, &client->in_service);
    service->n_clients++;

    const struct connection_options options = {
        .ops = &ops,
        .userdata = client,
        .message_timeout_usec = service->options.message_timeout_usec,
        .idle_timeout_usec = service->options.idle_timeout_usec,
    };
    int r = connection_new(service->event, TAKE_FD(own), &options, &client->connection);
    if (r < 0)
        (void)client_free(client);
    return r;
}

/* Waiting */

/* The result as the master keeps it; else what the event says, so that nobody waits for ever. */
static void end_reload(struct client *client, json_t *event)
{
    json_auto_t *result = client_ops(client)->reload_result(client->awaited,
                                                            client_ops_userdata(client));
    client->waiting = WAITING_NOT;
    if (result || event)
        client_reply(client, result ? result : event, false);
    else
        client_error(client, SERVICE_ERROR_SHUTTING_DOWN, NULL);
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

void client_subscribe(struct client *client, unsigned types)
{
    if (client->over)
        return;
    client->waiting = WAITING_FOR_EVENTS;
    client->types = types;
}

void client_follow(struct client *client, uint64_t id)
{
    client->waiting = WAITING_FOR_LINES;
    client->awaited = id;
    client->missed = 0;
    if (client->over)
        stop_waiting(client);
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

/* The text of one event, made when the first client needs it and shared by all. */
struct publication {
    unsigned type;
    uint64_t sequence;
    json_t *event;
    char *text;
    size_t size;
};

static int encode_publication(struct publication *p)
{
    if (p->text)
        return 0;
    json_auto_t *parameters = json_pack("{s:I, s:O}", "sequence", (json_int_t)p->sequence, "event",
                                        p->event);
    return parameters ? varlink_encode_reply(parameters, true, &p->text, &p->size) : -ENOMEM;
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
        client_error(client, SERVICE_ERROR_SHUTTING_DOWN, NULL);
}

static void stream_progress(struct client *client, const struct publication *p)
{
    json_auto_t *parameters = json_pack("{s:I, s:I, s:O}", "id", (json_int_t)client->awaited,
                                        "sequence", (json_int_t)p->sequence, "event", p->event);
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    if (parameters && varlink_encode_reply(parameters, true, &text, &size) == 0)
        connection_stream(client->connection, text, size);
}

static void tell(struct client *client, struct publication *p)
{
    unsigned progress = service_event_type("reload") | service_event_type("rollout") |
                        service_event_type("worker");
    switch (client->waiting) {
    case WAITING_NOT:
        break;
    case WAITING_FOR_RELOAD:
        if (p->type == service_event_type("reload") && is_end(client->awaited, p->event))
            end_reload(client, p->event);
        else if (client->more && (p->type & progress))
            stream_progress(client, p);
        break;
    case WAITING_FOR_JOB:
        if (p->type == service_event_type("job") && is_end(client->awaited, p->event))
            end_job(client, p->event);
        else if (client->more && p->type == service_event_type("job") &&
                 is_about(client->awaited, p->event))
            stream_progress(client, p);
        break;
    case WAITING_FOR_EVENTS:
        /* An event that can't be made for want of memory is missed; its number tells. */
        if ((client->types & p->type) && encode_publication(p) == 0)
            connection_stream(client->connection, p->text, p->size);
        break;
    case WAITING_FOR_LINES:
        break;
    }
}

void service_publish(struct service *service, const char *type, uint64_t sequence, json_t *event)
{
    struct publication publication = {
        .type = service_event_type(type), .sequence = sequence, .event = event};
    if (publication.type == 0)
        publication.type = EVENT_TYPE_OTHER;
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        tell(client, &publication);
    free(publication.text);
}

void service_pass_lines(struct service *service, uint64_t id, json_t *lines)
{
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        if (client->waiting == WAITING_FOR_LINES && client->awaited == id)
            pass_lines(client, lines);
}

/* The end */

bool service_is_heard(const struct service *service)
{
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        if (client->waiting != WAITING_NOT && client->waiting != WAITING_FOR_LINES)
            return true;
    return false;
}

static void end_waiting(struct client *client)
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
    case WAITING_FOR_LINES:
        stop_waiting(client);
        client_reply(client, NULL, false);
        break;
    }
}

/* Sends what can be sent; returns how many clients are still to be waited for. */
static nfds_t flush_all(struct service *service, struct pollfd *fds)
{
    nfds_t n = 0;
    LIST_FOREACH (client, &service->clients, struct client, in_service) {
        int fd = connection_flush(client->connection);
        if (fd >= 0)
            fds[n++] = (struct pollfd){.fd = fd, .events = POLLOUT};
    }
    return n;
}

void service_finish(struct service *service, uint64_t deadline_usec)
{
    struct pollfd fds[SERVICE_CLIENTS_MAX];
    LIST_FOREACH (client, &service->clients, struct client, in_service)
        end_waiting(client);
    for (;;) {
        nfds_t n = flush_all(service, fds);
        uint64_t now = clock_monotonic_usec();
        if (n == 0 || now >= deadline_usec)
            break;
        if (poll(fds, n, (int)((deadline_usec - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
            break;
    }
}

int service_new(sd_event *event, const struct service_options *options, struct service **ret)
{
    CLEANUP(service_freep) struct service *service = calloc(1, sizeof(*service));
    if (!service)
        return -ENOMEM;
    *service = (struct service){.options = *options,
                                .event = sd_event_ref(event),
                                .limit = {.interval_usec = 10 * USEC_PER_SEC, .burst = 5}};
    list_init(&service->clients);
    int r = sd_event_add_defer(event, &service->reaper, on_reaper, service);
    if (r >= 0)
        r = sd_event_source_set_enabled(service->reaper, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(service->reaper, "control-reaper");
    *ret = TAKE_PTR(service);
    return 0;
}

struct service *service_free(struct service *service)
{
    if (!service)
        return NULL;
    LIST_FOREACH_SAFE (client, &service->clients, struct client, in_service)
        (void)client_free(client);
    (void)sd_event_source_disable_unref(service->reaper);
    (void)sd_event_unref(service->event);
    free(service);
    return NULL;
}
