/* test-gateway-event-streams.c - /events for many clients out of one subscription, with an HTTP server and a link that only pretend. */
#include "base/macros.h"
#include "base/strv.h"
#include "gateway/event-stream.h"
#include "gateway/events.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define START   1763740000000000ull
#define CLIENTS 8

/* The HTTP server */

struct http_request {
    const char *query, *last_event_id;
    char *got; /* all that was sent */
    size_t pending;
    bool reads, began, ended;
    unsigned status;
    void (*gone)(void *userdata), (*room)(void *userdata);
    void *gone_userdata, *room_userdata;
};

const char *http_header(const struct http_request *request, const char *name)
{
    assert_string_equal(name, "Last-Event-ID");
    return request->last_event_id;
}

/* One parameter is enough here. */
void http_each_query(const struct http_request *request,
                     bool (*visit)(const char *name, const char *value, void *userdata), void *userdata)
{
    CLEANUP_FREE char *copy = strdup(request->query);
    char *value = copy;
    const char *name = strsep(&value, "=");
    if (*name != '\0')
        (void)visit(name, value ? value : "", userdata);
}

void http_on_gone(struct http_request *request, void (*gone)(void *userdata), void *userdata)
{
    request->gone = gone;
    request->gone_userdata = userdata;
}

void http_on_room(struct http_request *request, void (*room)(void *userdata), void *userdata)
{
    request->room = room;
    request->room_userdata = userdata;
}

void http_add_header(UNUSED struct http_request *request, const char *name, const char *value)
{
    assert_string_equal(name, "X-Accel-Buffering");
    assert_string_equal(value, "no");
}

void http_reply_problem(struct http_request *request, unsigned status, const char *detail)
{
    assert_non_null(detail);
    request->status = status;
}

void http_stream_begin(struct http_request *request, const char *type)
{
    assert_string_equal(type, "text/event-stream");
    request->began = true;
}

int http_stream_send(struct http_request *request, const void *data, size_t size)
{
    assert_true(request->began && !request->ended);
    if (request->pending + size > HTTP_STREAM_QUEUE_MAX)
        return -ENOBUFS;
    char *longer = string_format("%s%.*s", request->got ? request->got : "", (int)size, (const char *)data);
    free(request->got);
    request->got = longer;
    request->pending += request->reads ? 0 : size;
    return 0;
}

size_t http_stream_pending(const struct http_request *request)
{
    return request->pending;
}

void http_stream_end(struct http_request *request)
{
    assert_true(request->began && !request->ended);
    request->ended = true;
    request->gone = NULL;
}

/* The link */

struct link_call {
    json_t *parameters;
    link_handler handler;
    void *userdata;
};

static bool link_up;
static unsigned n_calls;
static struct link_call *subscription;

bool link_is_up(UNUSED const struct link *link)
{
    return link_up;
}

int link_call(UNUSED struct link *link, const char *method, json_t *parameters, unsigned flags,
              link_handler handler, void *userdata, struct link_call **ret)
{
    assert_string_equal(method, "Subscribe");
    assert_int_equal(flags, LINK_MORE);
    assert_null(subscription);
    n_calls++;
    subscription = calloc(1, sizeof(*subscription));
    *subscription = (struct link_call){.parameters = parameters, .handler = handler, .userdata = userdata};
    *ret = subscription;
    return 0;
}

struct link_call *link_cancel(struct link_call *call)
{
    assert_ptr_equal(call, subscription);
    if (!call)
        return NULL;
    json_decref(call->parameters);
    free(TAKE_PTR(subscription));
    return NULL;
}

/* Takes over `parameters`. */
static void reply(json_t *parameters)
{
    json_auto_t *own = parameters;
    assert_non_null(own);
    const struct link_reply it = {.parameters = own, .continues = true};
    subscription->handler(&it, subscription->userdata);
}

static void last_reply(const char *error)
{
    json_auto_t *empty = json_object();
    const struct link_reply it = {.error = error, .parameters = empty};
    struct link_call call = *subscription;
    free(TAKE_PTR(subscription));
    json_decref(call.parameters);
    call.handler(&it, call.userdata);
}

static void reply_begin(uint64_t start, json_int_t last)
{
    reply(json_pack("{s:I, s:I}", "start", (json_int_t)start, "last", last));
}

static void reply_event(json_int_t sequence, const char *program)
{
    reply(json_pack("{s:I, s:{s:s, s:s}}", "sequence", sequence, "event", "type", "worker", "program", program));
}

static void assert_asked(json_int_t since, uint64_t start)
{
    assert_non_null(subscription);
    json_t *asked = json_object_get(subscription->parameters, "start");
    assert_int_equal(json_integer_value(json_object_get(subscription->parameters, "since")), since);
    assert_int_equal(json_integer_value(asked), start);
}

/* The whole */

static struct gateway gateway;
static struct http_request clients[CLIENTS];

static int set_up(UNUSED void **state)
{
    memset(clients, 0, sizeof(clients));
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = (struct http_request){.query = "", .reads = true};
    gateway = (struct gateway){0};
    link_up = true;
    n_calls = 0;
    assert_true(sd_event_new(&gateway.event) >= 0);
    assert_int_equal(events_new(&gateway, &gateway.events), 0);
    return 0;
}

static int tear_down(UNUSED void **state)
{
    gateway.events = events_free(gateway.events);
    gateway.event = sd_event_unref(gateway.event);
    assert_null(subscription);
    for (size_t i = 0; i < CLIENTS; i++)
        free(clients[i].got);
    return 0;
}

/* All that is to be done now. */
static void turn(void)
{
    for (size_t i = 0; i < 100 && sd_event_run(gateway.event, 0) > 0; i++)
        ;
}

static struct http_request *come(size_t i, const char *query)
{
    clients[i].query = query;
    events_handle(&clients[i], &gateway);
    turn();
    return &clients[i];
}

/* What it got since it was asked last. */
static void assert_got(struct http_request *request, const char *wanted)
{
    turn();
    assert_non_null(request->got);
    assert_string_equal(request->got, wanted);
    *request->got = '\0';
}

#define HELLO(id, last)                                                                                  \
    "id: 1763740000000000-" id "\nevent: hello\n"                                                        \
    "data: {\"start\":1763740000000000,\"last\":" last ",\"heartbeat_usec\":15000000}\n\n"
#define EVENT(id, program)                                                                               \
    "id: 1763740000000000-" id "\nevent: worker\ndata: {\"type\":\"worker\",\"program\":\"" program "\"}\n\n"

static void test_one_subscription(UNUSED void **state)
{
    turn();
    assert_int_equal(n_calls, 0);
    struct http_request *one = come(0, ""), *two = come(1, "program=b");
    assert_int_equal(n_calls, 1);
    assert_asked(0, 0);
    assert_got(one, "retry: 1037\n\n");
    assert_got(two, "retry: 1074\n\n");
    reply_begin(START, 0);
    assert_got(one, HELLO("0", "0"));
    assert_got(two, HELLO("0", "0"));
    reply_event(1, "a");
    reply_event(2, "b");
    assert_got(one, EVENT("1", "a") EVENT("2", "b"));
    assert_got(two, EVENT("2", "b"));
    struct http_request *three = come(2, "since=1");
    assert_int_equal(n_calls, 1);
    assert_got(three, "retry: 1111\n\n" HELLO("1", "2") EVENT("2", "b"));
}

/* What is kept is known only when all of it was read. */
static void test_waits_for_what_was(UNUSED void **state)
{
    struct http_request *now = come(0, ""), *then = come(1, "since=1763740000000000-1");
    reply_begin(START, 3);
    reply(json_pack("{s:{s:i, s:i}}", "missed", "first", 1, "last", 1));
    reply_event(2, "a");
    assert_got(now, "retry: 1037\n\n");
    assert_got(then, "retry: 1074\n\n");
    reply_event(3, "b");
    assert_got(now, HELLO("3", "3"));
    assert_got(then, HELLO("1", "3") EVENT("2", "a") EVENT("3", "b"));
    struct http_request *all = come(2, "since=0");
    assert_got(all, "retry: 1111\n\n" HELLO("0", "3") "id: 1763740000000000-1\nevent: missed\n"
                    "data: {\"first\":1,\"last\":1}\n\n" EVENT("2", "a") EVENT("3", "b"));
}

/* One that does not read is told little, and all of it once it reads. */
static void test_slow(UNUSED void **state)
{
    struct http_request *slow = come(0, ""), *quick = come(1, "");
    reply_begin(START, 0);
    turn();
    slow->reads = false;
    CLEANUP_FREE char *name = malloc(1000);
    memset(name, 'x', 1000);
    name[999] = '\0';
    for (json_int_t i = 1; i <= 500; i++) {
        reply_event(i, name);
        turn();
    }
    assert_true(slow->pending > EVENT_STREAM_PENDING_MAX / 2);
    assert_true(slow->pending <= EVENT_STREAM_PENDING_MAX + 2000);
    assert_true(strlen(slow->got) < strlen(quick->got));
    slow->pending = 0;
    slow->reads = true;
    slow->room(slow->room_userdata);
    assert_string_equal(strstr(slow->got, "id: 1763740000000000-1\n"), strstr(quick->got, "id: 1763740000000000-1\n"));
}

static void test_clients_leave(UNUSED void **state)
{
    struct http_request *one = come(0, ""), *two = come(1, "");
    reply_begin(START, 0);
    assert_got(two, "retry: 1074\n\n" HELLO("0", "0"));
    one->gone(one->gone_userdata);
    one->began = false;
    reply_event(1, "a");
    assert_got(two, EVENT("1", "a"));
    gateway.events = events_free(gateway.events);
    assert_true(two->ended);
}

/* The subscription breaks off, and goes on where it was. */
static void test_again(UNUSED void **state)
{
    struct http_request *one = come(0, "");
    reply_begin(START, 0);
    reply_event(1, "a");
    last_reply("io.reloader.Control.Busy");
    for (size_t i = 0; i < 100 && !subscription; i++)
        assert_true(sd_event_run(gateway.event, 100 * USEC_PER_MSEC) >= 0);
    assert_asked(1, START);
    reply_begin(START, 2);
    reply_event(2, "b");
    assert_got(one, "retry: 1037\n\n" HELLO("0", "0") EVENT("1", "a") EVENT("2", "b"));
}

static void test_another_master(UNUSED void **state)
{
    struct http_request *one = come(0, "");
    reply_begin(START + 1, 0);
    assert_non_null(one->got);
    turn();
    *one->got = '\0';
    reply_begin(START, 1);
    reply_event(1, "a");
    assert_got(one, "id: 1763740000000000-0\nevent: missed\ndata: {\"restarted\":true}\n\n" EVENT("1", "a"));
}

static void test_master_gone(UNUSED void **state)
{
    struct http_request *one = come(0, "");
    reply_begin(START, 0);
    link_up = false;
    last_reply(LINK_ERROR_GONE);
    assert_got(one, "retry: 1037\n\n" HELLO("0", "0") "event: gone\ndata: {}\n\n");
    struct http_request *two = come(1, "");
    last_reply(LINK_ERROR_GONE);
    turn();
    assert_non_null(strstr(two->got, "event: gone\n"));
    assert_got(one, "");
    assert_false(one->ended);
}

static void test_refused(UNUSED void **state)
{
    assert_int_equal(come(0, "type=nonsense")->status, 400);
    assert_false(clients[0].began);
    assert_null(subscription);
    clients[1].last_event_id = "1763740000000000-1";
    struct http_request *one = come(1, "since=0");
    reply_begin(START, 0);
    reply_event(1, "a");
    reply_event(2, "b");
    assert_got(one, "retry: 1037\n\n" HELLO("1", "0") EVENT("2", "b"));
    events_drain(gateway.events);
    struct http_request *late = come(2, "");
    assert_true(late->ended);
    assert_got(late, "retry: 1037\n\n");
    assert_false(one->ended);
}

static void test_bounded(UNUSED void **state)
{
    struct http_request *many = calloc(EVENTS_STREAMS_MAX + 1, sizeof(*many));
    for (size_t i = 0; i <= EVENTS_STREAMS_MAX; i++) {
        many[i] = (struct http_request){.query = "", .reads = true};
        events_handle(&many[i], &gateway);
    }
    assert_true(many[EVENTS_STREAMS_MAX - 1].began);
    assert_int_equal(many[EVENTS_STREAMS_MAX].status, 503);
    many[0].gone(many[0].gone_userdata);
    many[EVENTS_STREAMS_MAX].status = 0;
    events_handle(&many[EVENTS_STREAMS_MAX], &gateway);
    assert_true(many[EVENTS_STREAMS_MAX].began);
    gateway.events = events_free(gateway.events);
    for (size_t i = 0; i <= EVENTS_STREAMS_MAX; i++)
        free(many[i].got);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_subscription, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waits_for_what_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clients_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_master, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_master_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
