/*
 * test-control.c - the control socket over a real socket: a fake master and its clients in one thread. Every wait runs
 * the event loop until something has happened, and fails after DEADLINE_USEC.
 */
#include "fake-master.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define DEADLINE_USEC (20 * USEC_PER_SEC)
#define INTERFACE     "io.reloader.Control."

static struct fake_master fake;
static char directory[] = "/tmp/test-control-XXXXXX";
static char path[64];

/* A client: a socket and what was read beyond the last frame. */
struct peer {
    int fd;
    char data[1 << 16];
    size_t size;
};

static int start(uint64_t message_timeout_usec, uint64_t idle_timeout_usec)
{
    fake = (struct fake_master){0};
    fake_master_start(&fake, path, message_timeout_usec, idle_timeout_usec);
    return 0;
}

static int setup(UNUSED void **state)
{
    return start(0, 0);
}

static int setup_short(UNUSED void **state)
{
    return start(200 * USEC_PER_MSEC, 600 * USEC_PER_MSEC);
}

static int setup_idle(UNUSED void **state)
{
    return start(0, 20 * USEC_PER_MSEC);
}

static int teardown(UNUSED void **state)
{
    fake_master_stop(&fake);
    return access(path, F_OK) == 0;
}

static void run_once(void)
{
    assert_true(sd_event_run(fake.event, 10 * USEC_PER_MSEC) >= 0);
}

static void run_idle(void)
{
    while (sd_event_run(fake.event, 0) > 0)
        ;
}

static struct peer open_peer(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)strcpy(address.sun_path, path);
    struct peer peer = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    assert_int_equal(connect(peer.fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return peer;
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        uint64_t until = clock_monotonic_usec() + DEADLINE_USEC;                                   \
        while (!(condition)) {                                                                     \
            run_once();                                                                            \
            assert_true(clock_monotonic_usec() < until);                                           \
        }                                                                                          \
    } while (0)

static void close_peer(struct peer *peer)
{
    peer->fd = fd_close(peer->fd);
    run_idle();
}

static void put(struct peer *peer, const char *text, size_t size)
{
    assert_int_equal(send(peer->fd, text, size, MSG_NOSIGNAL), size);
}

static void call(struct peer *peer, const char *text)
{
    put(peer, text, strlen(text) + 1);
}

static json_t *take_frame(struct peer *peer)
{
    char *end = memchr(peer->data, '\0', peer->size);
    if (!end)
        return NULL;
    size_t used = (size_t)(end - peer->data) + 1;
    json_t *frame = json_loads(peer->data, 0, NULL);
    assert_non_null(frame);
    peer->size -= used;
    memmove(peer->data, peer->data + used, peer->size);
    return frame;
}

/* 1 something came, 0 nothing yet, -1 the end. */
static int read_some(struct peer *peer)
{
    ssize_t n = recv(peer->fd, peer->data + peer->size, sizeof(peer->data) - peer->size, 0);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return -1;
    peer->size += (size_t)n;
    return 1;
}

/* The next message, or NULL when the connection has ended. */
static json_t *receive(struct peer *peer)
{
    uint64_t deadline = clock_monotonic_usec() + DEADLINE_USEC;
    for (;;) {
        json_t *frame = take_frame(peer);
        if (frame)
            return frame;
        int r = read_some(peer);
        if (r < 0)
            return NULL;
        if (r == 0)
            run_once();
        if (clock_monotonic_usec() > deadline)
            fail_msg("no message came");
    }
}

static void expect_end(struct peer *peer)
{
    json_auto_t *frame = receive(peer);
    assert_null(frame);
    peer->fd = fd_close(peer->fd);
}

/* The next message must hold (at least) this; returns it for further looks. */
static json_t *expect(struct peer *peer, const char *subset)
{
    json_t *frame = receive(peer);
    assert_non_null(frame);
    json_auto_t *wanted = json_loads(subset, 0, NULL);
    assert_non_null(wanted);
    json_auto_t *merged = json_deep_copy(frame);
    assert_int_equal(json_object_update_recursive(merged, wanted), 0);
    if (!json_equal(merged, frame)) {
        CLEANUP_FREE char *text = json_dumps(frame, 0);
        fail_msg("expected %s, got %s", subset, text);
    }
    return frame;
}

static bool continues(json_t *frame)
{
    return json_is_true(json_object_get(frame, "continues"));
}

static void expect_and_drop(struct peer *peer, const char *subset, bool more)
{
    json_auto_t *frame = expect(peer, subset);
    assert_int_equal(continues(frame), more);
}

/* Simple calls */

static void test_version_and_status(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    call(&peer, "{\"method\":\"" INTERFACE "Status\",\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{\"master\":{\"state\":\"running\"}}}", false);
    close_peer(&peer);
}

static void test_service_interface(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"org.varlink.service.GetInfo\"}");
    expect_and_drop(&peer,
                    "{\"parameters\":{\"product\":\"reloader\",\"interfaces\":"
                    "[\"org.varlink.service\",\"io.reloader.Control\"]}}",
                    false);
    call(&peer, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                "\"parameters\":{\"interface\":\"io.reloader.Control\"}}");
    json_auto_t *frame = receive(&peer);
    json_t *text = json_object_get(json_object_get(frame, "parameters"), "description");
    assert_non_null(strstr(json_string_value(text), "interface io.reloader.Control\n"));
    call(&peer, "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{"
                "\"interface\":\"x.y\"}}");
    expect_and_drop(&peer,
                    "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{"
                    "\"interface\":\"x.y\"}}",
                    false);
    close_peer(&peer);
}

static void test_errors(UNUSED void **state)
{
    static const char *const cases[][2] = {
        {"{\"method\":\"x.y.Z\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                                   "\"parameters\":{\"interface\":\"x.y\"}}"},
        {"{\"method\":\"Status\"}", "{\"error\":\"org.varlink.service.InterfaceNotFound\","
                                    "\"parameters\":{\"interface\":\"\"}}"},
        {"{\"method\":\"" INTERFACE "Nothing\"}",
         "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"" INTERFACE
         "Nothing\"}}"},
        {"{\"method\":\"" INTERFACE "Upgrade\"}",
         "{\"error\":\"" INTERFACE "NotInThisVersion\",\"parameters\":{\"method\":\"" INTERFACE
         "Upgrade\"}}"},
        {"{\"method\":\"" INTERFACE "Reload\",\"parameters\":{\"dry_run\":true}}",
         "{\"parameters\":{\"result\":\"would_commit\"}}"},
        {"{\"method\":\"" INTERFACE "Shutdown\",\"parameters\":{\"force\":1}}",
         "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":"
         "\"force\"}}"},
        {"{\"method\":\"" INTERFACE "Subscribe\"}",
         "{\"error\":\"org.varlink.service.ExpectedMore\"}"},
        {"{\"method\":\"" INTERFACE
         "Subscribe\",\"more\":true,\"parameters\":{\"types\":[\"weather\"]}}",
         "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":"
         "\"types\"}}"},
        {"{\"method\":\"" INTERFACE "Version\",\"upgrade\":true}",
         "{\"error\":\"org.varlink.service.MethodNotImplemented\"}"},
    };
    struct peer peer = open_peer();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        call(&peer, cases[i][0]);
        expect_and_drop(&peer, cases[i][1], false);
    }
    assert_int_equal(fake.shutdowns, 0);
    assert_int_equal(fake.reload_id, 0);
    close_peer(&peer);
}

static void test_pipelined_calls_in_order(UNUSED void **state)
{
    struct peer peer = open_peer();
    char text[4096];
    size_t size = 0;
    for (int i = 0; i < 20; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "{\"method\":\"x.n%d.Z\"}", i) +
                1;
    }
    put(&peer, text, size);
    for (int i = 0; i < 20; i++) {
        char wanted[64];
        (void)snprintf(wanted, sizeof(wanted), "{\"parameters\":{\"interface\":\"x.n%d\"}}", i);
        expect_and_drop(&peer, wanted, false);
    }
    close_peer(&peer);
}

static void test_a_call_in_pieces(UNUSED void **state)
{
    struct peer peer = open_peer();
    const char *text = "{\"method\":\"" INTERFACE "Version\"}";
    for (size_t i = 0; i <= strlen(text); i++) {
        put(&peer, text + i, 1);
        run_idle();
    }
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    close_peer(&peer);
}

static void test_oneway(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\",\"oneway\":true}");
    call(&peer, "{\"method\":\"" INTERFACE "Nothing\",\"oneway\":true}");
    call(&peer, "{\"method\":\"" INTERFACE "Subscribe\",\"oneway\":true,\"more\":true}");
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    assert_int_equal(fake.reload_id, 1);
    fake_master_end_reload(&fake, "committed", NULL);
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    close_peer(&peer);
}

static void test_oneway_and_gone(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\",\"oneway\":true}");
    call(&peer, "{\"method\":\"" INTERFACE "Shutdown\",\"oneway\":true}");
    close_peer(&peer);
    assert_int_equal(fake.reload_id, 1);
    assert_int_equal(fake.shutdowns, 1);
}

static void test_half_closed_client_gets_its_replies(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\"}");
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
    run_idle();
    fake_master_end_reload(&fake, "committed", NULL);
    expect_and_drop(&peer, "{\"parameters\":{\"result\":\"committed\"}}", false);
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    expect_end(&peer);
}

static void test_a_reply_larger_than_the_event_queue(UNUSED void **state)
{
    fake.huge_status = true;
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Status\"}");
    uint64_t deadline = clock_monotonic_usec() + DEADLINE_USEC;
    size_t total = 0;
    while (!memchr(peer.data, '\0', peer.size) && clock_monotonic_usec() < deadline) {
        total += peer.size;
        peer.size = 0;
        if (read_some(&peer) == 0)
            run_once();
    }
    assert_true(total > (1 << 20));
    close_peer(&peer);
}

/* Reload */

static void test_reload_waits(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\"}");
    run_idle();
    assert_int_equal(fake.reload_id, 1);
    assert_int_equal(read_some(&peer), 0);
    fake_master_publish(&fake, "worker", "{s:s}", "program", "web");
    fake_master_publish(&fake, "reload", "{s:i, s:s, s:s}", "id", 77, "state", "ended", "result",
                        "committed");
    run_idle();
    assert_int_equal(read_some(&peer), 0);
    fake_master_end_reload(&fake, "rolled_back", "web/0 exited with 1 before it was ready");
    expect_and_drop(
        &peer,
        "{\"parameters\":{\"id\":1,\"result\":\"rolled_back\",\"duration_usec\":1234567,"
        "\"reason\":\"web/0 exited with 1 before it was ready\"}}",
        false);
    close_peer(&peer);
}

static void test_reload_with_progress(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\",\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{\"id\":1}}", true);
    fake_master_publish(&fake, "log", "{s:s}", "text", "not for you");
    fake_master_publish(&fake, "worker", "{s:s, s:i}", "program", "web", "slot", 2);
    fake_master_end_reload(&fake, "committed", NULL);
    fake_master_publish(&fake, "worker", "{s:s}", "program", "later");
    expect_and_drop(&peer, "{\"parameters\":{\"id\":1,\"event\":{\"type\":\"worker\",\"slot\":2}}}",
                    true);
    expect_and_drop(&peer, "{\"parameters\":{\"id\":1,\"result\":\"committed\"}}", false);
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    close_peer(&peer);
}

static void test_reload_that_ended_at_once(UNUSED void **state)
{
    fake.end_reload_at_once = true;
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"id\":1,\"result\":\"refused\"}}", false);
    call(&peer, "{\"method\":\"" INTERFACE "Reload\",\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{\"id\":2}}", true);
    expect_and_drop(&peer, "{\"parameters\":{\"id\":2,\"result\":\"refused\"}}", false);
    close_peer(&peer);
}

static void test_reload_without_waiting(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer,
         "{\"method\":\"" INTERFACE "Reload\",\"parameters\":{\"wait\":false},\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{\"id\":1}}", false);
    fake.refuse_reload = true;
    call(&peer, "{\"method\":\"" INTERFACE "Reload\"}");
    expect_and_drop(&peer, "{\"error\":\"" INTERFACE "ShuttingDown\"}", false);
    close_peer(&peer);
}

static void test_reload_client_that_leaves(UNUSED void **state)
{
    struct peer peer = open_peer(), other = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\",\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{\"id\":1}}", true);
    call(&other, "{\"method\":\"" INTERFACE "Reload\",\"more\":true}");
    expect_and_drop(&other, "{\"parameters\":{\"id\":2}}", true);
    peer.fd = fd_close(peer.fd);
    fake_master_publish(&fake, "worker", "{s:s}", "program", "web");
    fake_master_end_reload(&fake, "committed", NULL);
    expect_and_drop(&other, "{\"parameters\":{\"event\":{\"program\":\"web\"}}}", true);
    expect_and_drop(&other, "{\"parameters\":{\"result\":\"committed\"}}", false);
    close_peer(&other);
}

/* Subscribe */

static void test_subscribe(UNUSED void **state)
{
    struct peer all = open_peer(), some = open_peer();
    call(&all, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    call(&some, "{\"method\":\"" INTERFACE
                "Subscribe\",\"more\":true,\"parameters\":{\"types\":[\"log\",\"master\"]}}");
    expect_and_drop(&all, "{\"parameters\":{}}", true);
    expect_and_drop(&some, "{\"parameters\":{}}", true);
    fake_master_publish(&fake, "worker", "{s:s}", "program", "web");
    fake_master_publish(&fake, "log", "{s:s}", "text", "hello");
    expect_and_drop(&all, "{\"parameters\":{\"sequence\":1,\"event\":{\"type\":\"worker\"}}}",
                    true);
    expect_and_drop(
        &all, "{\"parameters\":{\"sequence\":2,\"event\":{\"type\":\"log\",\"text\":\"hello\"}}}",
        true);
    expect_and_drop(&some, "{\"parameters\":{\"sequence\":2}}", true);
    close_peer(&all);
    close_peer(&some);
}

static json_int_t number_in(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* The next reply is one number further, or says which are missing. The number to come after it; *ret_missed counts. */
static json_int_t expect_next(struct peer *peer, json_int_t next, json_int_t *ret_missed)
{
    json_auto_t *frame = receive(peer);
    assert_non_null(frame);
    assert_true(continues(frame));
    json_t *parameters = json_object_get(frame, "parameters"),
           *missed = json_object_get(parameters, "missed");
    json_int_t first = missed ? number_in(missed, "first") : number_in(parameters, "sequence");
    json_int_t last = missed ? number_in(missed, "last") : first;
    assert_int_equal(first, next);
    assert_true(last >= first);
    *ret_missed += missed ? last - first + 1 : 0;
    return last + 1;
}

static void publish_text(size_t size)
{
    CLEANUP_FREE char *text = malloc(size);
    memset(text, 'x', size);
    fake_master_publish(&fake, "message", "{s:s, s:s%}", "program", "web", "text", text, size);
}

/* It goes on where the ring begins by then, and is told what is missing. */
static void test_subscriber_that_does_not_read(UNUSED void **state)
{
    struct peer lazy = open_peer(), good = open_peer();
    call(&lazy, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&lazy, "{\"parameters\":{\"last\":0}}", true);
    call(&good, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&good, "{\"parameters\":{}}", true);
    for (int i = 1; i <= 1000; i++) {
        publish_text(4096);
        char wanted[64];
        (void)snprintf(wanted, sizeof(wanted), "{\"parameters\":{\"sequence\":%d}}", i);
        expect_and_drop(&good, wanted, true);
    }
    json_int_t next = 1, missed = 0, none = 0;
    while (next <= 1000)
        next = expect_next(&lazy, next, &missed);
    assert_in_range(missed, 500, 999);
    publish_text(10);
    assert_int_equal(expect_next(&lazy, 1001, &none), 1002);
    assert_int_equal(none, 0);
    close_peer(&lazy);
    close_peer(&good);
}

/* What they have not read costs hardly more for forty than for one: each gets it all. */
static void test_subscribers_that_do_not_read(UNUSED void **state)
{
    static struct peer lazy[40];
    struct peer good = open_peer();
    for (size_t i = 0; i < ARRAY_SIZE(lazy); i++) {
        lazy[i] = open_peer();
        call(&lazy[i], "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
        expect_and_drop(&lazy[i], "{\"parameters\":{\"last\":0}}", true);
    }
    call(&good, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&good, "{\"parameters\":{}}", true);
    for (int i = 0; i < 200; i++) {
        publish_text(4096);
        expect_and_drop(&good, "{\"parameters\":{\"event\":{\"type\":\"message\"}}}", true);
    }
    for (size_t i = 0; i < ARRAY_SIZE(lazy); i++) {
        json_int_t next = 1, missed = 0;
        while (next <= 200)
            next = expect_next(&lazy[i], next, &missed);
        assert_int_equal(missed, 0);
        close_peer(&lazy[i]);
    }
    close_peer(&good);
}

/* Everybody gets it without its large members; nobody is cut off. */
static void test_an_event_that_is_too_large(UNUSED void **state)
{
    struct peer peer = open_peer(), follower = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{}}", true);
    call(&follower, "{\"method\":\"" INTERFACE "Reload\",\"more\":true}");
    expect_and_drop(&follower, "{\"parameters\":{\"id\":1}}", true);
    expect_and_drop(&peer, "{\"parameters\":{\"sequence\":1}}", true);
    json_t *plan = json_array();
    for (int i = 0; i < 20000; i++)
        assert_int_equal(
            json_array_append_new(
                plan, json_stringn(
                          "0123456789012345678901234567890123456789012345678901234567890123", 64)),
            0);
    fake_master_publish(&fake, "reload", "{s:s, s:i, s:o}", "state", "rolling", "id", 1, "plan",
                        plan);
    static const char brief[] =
        "{\"parameters\":{\"event\":{\"type\":\"reload\",\"state\":\"rolling\","
        "\"id\":1,\"omitted\":[\"plan\"]}}}";
    expect_and_drop(&peer, brief, true);
    expect_and_drop(&follower, brief, true);
    publish_text(10);
    expect_and_drop(&peer, "{\"parameters\":{\"sequence\":3}}", true);
    close_peer(&peer);
    close_peer(&follower);
}

static void subscribe_since(struct peer *peer, const char *parameters, const char *expected)
{
    CLEANUP_FREE char *text = string_format(
        "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true,\"parameters\":%s}", parameters);
    call(peer, text);
    expect_and_drop(peer, expected, true);
}

/* What was comes first, what comes next follows. */
static void test_events_again(UNUSED void **state)
{
    struct peer all = open_peer(), some = open_peer(), timed = open_peer(), filtered = open_peer();
    for (int i = 0; i < 300; i++)
        fake_master_publish(&fake, i % 2 ? "worker" : "message", "{s:s, s:{s:s}}", "program",
                            i % 3 ? "web" : "jobs", "value", "cmd", i % 5 ? "status" : "flush");
    subscribe_since(&all, "{\"since\":0}", "{\"parameters\":{\"last\":300}}");
    subscribe_since(&some, "{\"since\":298}", "{\"parameters\":{\"last\":300}}");
    subscribe_since(&timed, "{\"since_usec\":1}", "{\"parameters\":{\"last\":300}}");
    subscribe_since(&filtered, "{\"since\":0,\"programs\":[\"jobs\"],\"commands\":[\"flush\"]}",
                    "{\"parameters\":{\"last\":300}}");
    fake_master_publish(&fake, "message", "{s:s}", "program", "web");
    json_int_t next = 1, missed = 0;
    while (next <= 301)
        next = expect_next(&all, next, &missed);
    for (next = 1; next <= 301;)
        next = expect_next(&timed, next, &missed);
    for (next = 299; next <= 301;)
        next = expect_next(&some, next, &missed);
    assert_int_equal(missed, 0);
    for (int i = 1; i <= 271; i += 30) {
        char wanted[64];
        (void)snprintf(wanted, sizeof(wanted), "{\"parameters\":{\"sequence\":%d}}", i);
        expect_and_drop(&filtered, wanted, true);
    }
    close_peer(&all);
    close_peer(&some);
    close_peer(&timed);
    close_peer(&filtered);
}

/* Too old for the ring, or of a master that was here before. */
static void test_events_that_are_gone(UNUSED void **state)
{
    struct peer old = open_peer(), other = open_peer(), beyond = open_peer(), timed = open_peer();
    for (int i = 0; i < 5000; i++)
        fake_master_publish(&fake, "worker", "{s:s}", "program", "web");
    subscribe_since(&old, "{\"since\":16}", "{\"parameters\":{\"last\":5000}}");
    expect_and_drop(&old, "{\"parameters\":{\"missed\":{\"first\":17,\"last\":904}}}", true);
    expect_and_drop(&old, "{\"parameters\":{\"sequence\":905}}", true);
    static const char all[] = "{\"parameters\":{\"missed\":{\"first\":1,\"last\":904}}}";
    subscribe_since(&other, "{\"since\":4999,\"start\":7}",
                    "{\"parameters\":{\"restarted\":true}}");
    expect_and_drop(&other, all, true);
    subscribe_since(&beyond, "{\"since\":5001}", "{\"parameters\":{\"restarted\":true}}");
    expect_and_drop(&beyond, all, true);
    subscribe_since(&timed, "{\"since_usec\":5}", "{\"parameters\":{\"last\":5000}}");
    expect_and_drop(&timed, "{\"parameters\":{\"missed\":{\"last\":904}}}", true);
    expect_and_drop(&timed, "{\"parameters\":{\"sequence\":905}}", true);
    close_peer(&old);
    close_peer(&other);
    close_peer(&beyond);
    close_peer(&timed);
}

static void test_wrong_subscriptions(UNUSED void **state)
{
    static const char *const wrong[][2] = {
        {"{\"types\":[\"nonsense\"]}", "types"},
        {"{\"since\":-1}", "since"},
        {"{\"since\":1,\"since_usec\":1}", "since_usec"},
        {"{\"start\":1}", "start"},
        {"{\"programs\":[7]}", "programs"},
    };
    struct peer peer = open_peer();
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        CLEANUP_FREE char *text = string_format(
            "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true,\"parameters\":%s}", wrong[i][0]);
        CLEANUP_FREE char *expected = string_format(
            "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"%"
            "s\"}}",
            wrong[i][1]);
        call(&peer, text);
        expect_and_drop(&peer, expected, false);
    }
    close_peer(&peer);
}

/* The ring, too, is sent to the end before the master leaves. */
static void test_finish_tells_all_events(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{\"last\":0}}", true);
    for (int i = 0; i < 40; i++)
        publish_text(4096);
    control_finish(fake.control);
    json_int_t next = 1, missed = 0;
    while (next <= 40)
        next = expect_next(&peer, next, &missed);
    assert_int_equal(missed, 0);
    expect_and_drop(&peer, "{\"parameters\":{}}", false);
    close_peer(&peer);
}

/* Send */

static void test_send(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE
                "Send\",\"parameters\":{\"programs\":[\"web\"],\"message\":{\"cmd\":\"status\"}}}");
    json_auto_t *reply = expect(&peer, "{\"parameters\":{}}");
    json_t *first = json_array_get(json_object_get(json_object_get(reply, "parameters"), "results"),
                                   0);
    assert_string_equal(json_string_value(json_object_get(first, "result")), "sent");
    json_auto_t *wanted = json_pack("{s:s}", "cmd", "status");
    assert_true(json_equal(fake.message, wanted));
    call(&peer, "{\"method\":\"" INTERFACE
                "Send\",\"parameters\":{\"programs\":[\"nobody\"],\"message\":7}}");
    expect_and_drop(
        &peer, "{\"error\":\"" INTERFACE "NoSuchProgram\",\"parameters\":{\"name\":\"nobody\"}}",
        false);
    call(&peer,
         "{\"method\":\"" INTERFACE
         "Send\",\"parameters\":{\"programs\":[\"web\"],\"message\":\"graceful_shutdown\"}}");
    expect_and_drop(&peer, "{\"error\":\"" INTERFACE "Failed\"}", false);
    call(&peer, "{\"method\":\"" INTERFACE "Send\",\"parameters\":{\"programs\":[\"web\"]}}");
    expect_and_drop(&peer,
                    "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{"
                    "\"parameter\":\"message\"}}",
                    false);
    close_peer(&peer);
}

/* So many bytes, which are left out of what the peer has; false: it is closed before. */
static bool skip_bytes(struct peer *peer, size_t wanted)
{
    static char buffer[1 << 16];
    while (wanted > 0) {
        ssize_t n = recv(peer->fd, buffer, MIN(sizeof(buffer), wanted), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n > 0)
            wanted -= (size_t)n;
        else
            run_once();
    }
    return true;
}

/* More than may be queued, but half of it has room in their sockets. */
static void test_a_large_event_for_many(UNUSED void **state)
{
    static struct peer peers[50];
    static char text[400 << 10];
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        peers[i] = open_peer();
        call(&peers[i], "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
        expect_and_drop(&peers[i], "{\"parameters\":{}}", true);
    }
    fake_master_publish(&fake, "message", "{s:s%}", "text", text, sizeof(text));
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
        assert_true(skip_bytes(&peers[i], sizeof(text)));
        close_peer(&peers[i]);
    }
}

/* The end */

static void test_shutdown(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Shutdown\"}");
    expect_and_drop(&peer, "{\"parameters\":{}}", false);
    assert_int_equal(fake.shutdowns, 1);
    assert_int_equal(fake.forced, 0);
    call(&peer, "{\"method\":\"" INTERFACE "Shutdown\",\"parameters\":{\"force\":true}}");
    expect_and_drop(&peer, "{\"parameters\":{}}", false);
    assert_int_equal(fake.forced, 1);
    close_peer(&peer);
}

static void test_finish_tells_all_who_wait(UNUSED void **state)
{
    struct peer known = open_peer(), subscriber = open_peer(), silent = open_peer();
    call(&known, "{\"method\":\"" INTERFACE "Reload\"}");
    call(&subscriber, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&subscriber, "{\"parameters\":{}}", true);
    fake_master_publish(&fake, "master", "{s:s}", "state", "leaving");
    control_finish(fake.control);
    fake.control = control_free(fake.control);
    expect_and_drop(&known, "{\"error\":\"" INTERFACE "ShuttingDown\"}", false);
    expect_and_drop(&subscriber, "{\"parameters\":{\"event\":{\"state\":\"leaving\"}}}", true);
    expect_and_drop(&subscriber, "{\"parameters\":{}}", false);
    expect_end(&known);
    expect_end(&subscriber);
    expect_end(&silent);
}

static void test_finish_with_a_result(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Reload\"}");
    run_idle();
    fake.result = json_pack("{s:i, s:s, s:s}", "id", 1, "result", "refused", "reason",
                            "the master is shut down");
    control_finish(fake.control);
    expect_and_drop(&peer, "{\"parameters\":{\"result\":\"refused\"}}", false);
    fake.control = control_free(fake.control);
    expect_end(&peer);
}

static void test_finish_after_the_loop(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&peer, "{\"parameters\":{}}", true);
    assert_true(sd_event_exit(fake.event, 0) >= 0);
    assert_true(sd_event_loop(fake.event) >= 0);
    fake_master_publish(&fake, "master", "{s:s}", "state", "gone");
    control_finish(fake.control);
    fake.control = control_free(fake.control);
    expect_and_drop(&peer, "{\"parameters\":{\"event\":{\"state\":\"gone\"}}}", true);
    expect_and_drop(&peer, "{\"parameters\":{}}", false);
    expect_end(&peer);
}

static void test_finish_does_not_wait_for_a_lazy_client(UNUSED void **state)
{
    fake.huge_status = true;
    struct peer lazy = open_peer();
    call(&lazy, "{\"method\":\"" INTERFACE "Status\"}");
    run_idle();
    control_finish(fake.control);
    fake.control = control_free(fake.control);
    close_peer(&lazy);
}

/* Bounds */

static void test_silent_client_is_closed(UNUSED void **state)
{
    struct peer peer = open_peer();
    expect_end(&peer);
}

static void test_half_a_message_is_closed(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    uint64_t deadline = clock_monotonic_usec() + DEADLINE_USEC;
    /* It trickles: the time-out belongs to the message, not to its bytes. */
    while (send(peer.fd, " ", 1, MSG_NOSIGNAL) == 1) {
        assert_true(clock_monotonic_usec() < deadline);
        run_idle();
        run_once();
    }
    expect_end(&peer);
}

static void test_idle_client_is_closed(UNUSED void **state)
{
    struct peer peer = open_peer(), subscriber = open_peer();
    call(&subscriber, "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
    expect_and_drop(&subscriber, "{\"parameters\":{}}", true);
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    expect_end(&peer);
    fake_master_publish(&fake, "log", "{s:s}", "text", "still there?");
    expect_and_drop(&subscriber, "{\"parameters\":{\"event\":{\"text\":\"still there?\"}}}", true);
    close_peer(&subscriber);
}

static void test_garbage_is_closed(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "GET / HTTP/1.1");
    expect_end(&peer);
}

static void test_too_long_a_message_is_closed(UNUSED void **state)
{
    struct peer peer = open_peer();
    char text[8192];
    memset(text, ' ', sizeof(text));
    size_t sent = 0;
    for (;;) {
        ssize_t n = send(peer.fd, text, sizeof(text), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent < (100 << 20));
        run_once();
    }
    expect_end(&peer);
}

static void test_longest_message_is_taken(UNUSED void **state)
{
    struct peer peer = open_peer();
    static char text[65536];
    memset(text, ' ', sizeof(text));
    const char *method = "{\"method\":\"" INTERFACE "Version\"}";
    memcpy(text, method, strlen(method));
    text[sizeof(text) - 1] = '\0';
    put(&peer, text, sizeof(text));
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    close_peer(&peer);
}

/* So few descriptors that there are places for only these. */
enum { PLACES = 16 };

static struct rlimit limit_places(void)
{
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    const struct rlimit few = {.rlim_cur = 4 * PLACES, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    return old;
}

static void expect_version(struct peer *peer)
{
    call(peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
}

static void test_too_many_clients(UNUSED void **state)
{
    static struct peer peers[PLACES];
    const struct rlimit old = limit_places();
    for (int i = 0; i < PLACES; i++) {
        peers[i] = open_peer();
        call(&peers[i], "{\"method\":\"" INTERFACE "Subscribe\",\"more\":true}");
        expect_and_drop(&peers[i], "{\"parameters\":{}}", true);
    }
    struct peer late = open_peer();
    expect_and_drop(&late, "{\"error\":\"" INTERFACE "TooManyClients\"}", false);
    expect_end(&late);
    close_peer(&peers[7]);
    late = open_peer();
    expect_version(&late);
    close_peer(&late);
    for (int i = 0; i < PLACES; i++)
        close_peer(&peers[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static struct peer open_gateway_peer(int result)
{
    const struct ucred self = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(control_connect_gateway(fake.control, ends[0], &self), result);
    return (struct peer){.fd = ends[1]};
}

/* However many connections the gateway asks for. */
static void test_gateway_leaves_room(UNUSED void **state)
{
    static struct peer theirs[PLACES / 2], ours[PLACES / 2];
    const struct rlimit old = limit_places();
    for (int i = 0; i < PLACES / 2; i++) {
        theirs[i] = open_gateway_peer(0);
        expect_version(&theirs[i]);
    }
    struct peer late = open_gateway_peer(-EBUSY);
    expect_and_drop(&late, "{\"error\":\"" INTERFACE "TooManyClients\"}", false);
    close_peer(&late);
    for (int i = 0; i < PLACES / 2; i++) {
        ours[i] = open_peer();
        expect_version(&ours[i]);
    }
    for (int i = 0; i < PLACES / 2; i++) {
        expect_version(&theirs[i]);
        close_peer(&theirs[i]);
        close_peer(&ours[i]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* It may be idle, from the start too; but not keep what is half said. */
static void test_gateway_is_idle(UNUSED void **state)
{
    struct peer idle = open_gateway_peer(0), half = open_gateway_peer(0),
                deaf = open_gateway_peer(0);
    fake.huge_status = true;
    put(&half, "{", 1);
    call(&deaf, "{\"method\":\"" INTERFACE "Status\"}");
    expect_end(&half);
    run_until(recv(deaf.fd, deaf.data, sizeof(deaf.data), MSG_PEEK) > 0);
    /* Whoever else is idle for as long is closed. */
    struct peer other = open_peer();
    expect_version(&other);
    expect_end(&other);
    expect_version(&idle);
    ssize_t n;
    while ((n = recv(deaf.fd, deaf.data, sizeof(deaf.data), 0)) > 0)
        run_idle();
    assert_int_equal(n, 0);
    close_peer(&other);
    close_peer(&idle);
    close_peer(&half);
    close_peer(&deaf);
}

static void test_idle_ones_make_room(UNUSED void **state)
{
    static struct peer peers[PLACES];
    const struct rlimit old = limit_places();
    for (int i = 0; i < PLACES; i++) {
        peers[i] = open_peer();
        expect_version(&peers[i]);
    }
    expect_version(&peers[0]);
    struct peer late = open_peer();
    expect_version(&late);
    expect_end(&peers[1]);
    expect_version(&peers[0]);
    close_peer(&late);
    for (int i = 0; i < PLACES; i++)
        close_peer(&peers[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void test_without_descriptors(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    struct rlimit old, none = {.rlim_cur = 3};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int turns = 0;
    while (turns < 1000 && sd_event_run(fake.event, 0) > 0)
        turns++;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(turns < 1000);
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    close_peer(&peer);
}

static void test_nothing_is_left_open(UNUSED void **state)
{
    int before = dup(0);
    assert_true(before >= 0);
    (void)close(before);
    for (int i = 0; i < 200; i++) {
        struct peer peer = open_peer();
        if (i % 2)
            call(&peer, "{\"method\":\"" INTERFACE "Reload\"}");
        if (i % 3)
            run_idle();
        close_peer(&peer);
    }
    int after = dup(0);
    (void)close(after);
    assert_int_equal(after, before);
}

/* Descriptors that go over with a reply */

#define ATTACH(flags)                                                                              \
    "{\"method\":\"" INTERFACE "Attach\",\"parameters\":{\"name\":\"web:0\"}" flags "}"

/* The next bytes, and the descriptor with them: -1 if there was none. */
static int receive_fd(struct peer *peer)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 4)];
    } control = {0};
    struct iovec vector = {.iov_base = peer->data, .iov_len = sizeof(peer->data)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    uint64_t deadline = clock_monotonic_usec() + DEADLINE_USEC;
    ssize_t n;
    while ((n = recvmsg(peer->fd, &message, MSG_CMSG_CLOEXEC)) < 0) {
        assert_true(errno == EAGAIN && clock_monotonic_usec() < deadline);
        run_once();
    }
    peer->size = (size_t)n;
    int fd = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header) {
        assert_int_equal(header->cmsg_len, CMSG_LEN(sizeof(fd)));
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    }
    return fd;
}

/* A pipe whose writing end the fake master has; returns the other one. */
static int give_input(void)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    fake.input_fd = fds[1];
    return fds[0];
}

/* Everybody who could write has closed: nobody else has kept it. */
static void expect_end_of_input(int input)
{
    char byte;
    run_idle();
    assert_int_equal(read(input, &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    fake.input_fd = fd_close(fake.input_fd);
    assert_int_equal(read(input, &byte, 1), 0);
    (void)close(input);
}

static void test_attach(UNUSED void **state)
{
    struct peer peer = open_peer();
    char text[8] = "";
    call(&peer, ATTACH(""));
    assert_int_equal(receive_fd(&peer), -1);
    expect_and_drop(&peer, "{\"parameters\":{\"pid\":4710,\"stdin\":\"null\"}}", false);
    int input = give_input();
    for (int i = 0; i < 3; i++) {
        call(&peer, ATTACH(""));
        int fd = receive_fd(&peer);
        assert_true(fd >= 0);
        expect_and_drop(&peer, "{\"parameters\":{\"pid\":4710,\"stdin\":\"pipe\"}}", false);
        assert_int_equal(write(fd, "hello", 5), 5);
        assert_int_equal(read(input, text, sizeof(text)), 5);
        assert_string_equal(text, "hello");
        (void)close(fd);
    }
    close_peer(&peer);
    expect_end_of_input(input);
}

static void test_attach_of_others(UNUSED void **state)
{
    static const char *const names[][2] = {
        {"web", "NotOneWorker\",\"parameters\":{\"workers\":[\"web:0\",\"web:1\"]}"},
        {"web:1", "NotRunning\",\"parameters\":{\"state\":\"FATAL\",\"comes\":false}"},
        {"web:9", "NoSuchWorker\""},
        {"nobody", "NoSuchProgram\""},
    };
    struct peer peer = open_peer();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char text[200], wanted[200];
        (void)snprintf(text, sizeof(text),
                       "{\"method\":\"" INTERFACE "Attach\",\"parameters\":{\"name\":\"%s\"}}",
                       names[i][0]);
        (void)snprintf(wanted, sizeof(wanted), "{\"error\":\"" INTERFACE "%s}", names[i][1]);
        call(&peer, text);
        expect_and_drop(&peer, wanted, false);
    }
    close_peer(&peer);
}

/* One that does not want it, one that leaves before it has it, one that never takes it. */
static void test_attach_and_gone(UNUSED void **state)
{
    int input = give_input();
    struct peer oneway = open_peer();
    call(&oneway, ATTACH(",\"oneway\":true"));
    run_idle();
    struct peer lazy = open_peer();
    for (int i = 0; i < 8; i++)
        call(&lazy, ATTACH(""));
    run_idle();
    struct peer hasty = open_peer();
    call(&hasty, ATTACH(""));
    close_peer(&hasty);
    close_peer(&lazy);
    expect_end_of_input(input);
    close_peer(&oneway);
}

/* What was read by who expects none is there all the same. */
static void test_attach_without_taking(UNUSED void **state)
{
    int input = give_input();
    struct peer peer = open_peer();
    call(&peer, ATTACH(""));
    expect_and_drop(&peer, "{\"parameters\":{\"pid\":4710}}", false);
    expect_end_of_input(input);
    close_peer(&peer);
}

/* Of one that asks and asks and takes nothing, no more calls are taken once its socket is a quarter full; the rest goes with it. */
static void test_attach_and_not_read(UNUSED void **state)
{
    int input = give_input();
    struct peer peer = open_peer();
    size_t sent = 0;
    for (; sent < 4096; sent++) {
        const char text[] = ATTACH("");
        if (send(peer.fd, text, sizeof(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
        run_idle();
    }
    assert_true(sent > 8 && sent < 4096);
    for (size_t i = 0; i < 4; i++) {
        int fd = receive_fd(&peer);
        assert_true(fd >= 0);
        (void)close(fd);
    }
    run_idle();
    close_peer(&peer);
    expect_end_of_input(input);
}

/* Peers */

/* Runs `body` as another user in a child; its return value is the exit status. */
static int as_stranger(int (*body)(void), const gid_t *groups, size_t n_groups)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setgroups(n_groups, groups) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
            _exit(99);
        _exit(body());
    }
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0)
        run_once();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0 served, 1 denied, others: neither. */
static int ask_version(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return errno == EACCES ? 13 : 98;
    const char text[] = "{\"method\":\"" INTERFACE "Version\"}";
    (void)send(fd, text, sizeof(text), MSG_NOSIGNAL);
    char answer[4096] = "";
    ssize_t n = recv(fd, answer, sizeof(answer) - 1, 0);
    if (n <= 0)
        return 97;
    if (strstr(answer, "PermissionDenied"))
        return 1;
    return strstr(answer, RELOADER_VERSION) ? 0 : 96;
}

static struct control *serve_group(mode_t mode, gid_t group)
{
    const struct control_settings settings = {
        .path = path, .mode = mode, .group = {.set = true, .id = group}};
    char *error = NULL;
    struct control *control = NULL;
    fake.control = control_free(fake.control);
    if (control_new(fake.event, &settings, &fake_master_ops, &fake, &control, &error) < 0)
        fail_msg("%s", error);
    return control;
}

static void test_peers(UNUSED void **state)
{
    if (geteuid() != 0) {
        print_message("skipped: needs root to become another user\n");
        skip();
    }
    assert_int_equal(chmod(directory, 0755), 0);
    const gid_t member[] = {12345, 54321}, other[] = {12345};
    assert_int_equal(as_stranger(ask_version, member, 2), 13);
    fake.control = serve_group(0660, 54321);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_gid, 54321);
    assert_int_equal(as_stranger(ask_version, member, 2), 0);
    assert_int_equal(as_stranger(ask_version, other, 1), 13);
    fake.control = serve_group(0666, 54321);
    assert_int_equal(as_stranger(ask_version, member, 2), 0);
    assert_int_equal(as_stranger(ask_version, other, 1), 1);
    assert_int_equal(as_stranger(ask_version, NULL, 0), 1);
    fake.control = serve_group(0666, 65534);
    assert_int_equal(as_stranger(ask_version, NULL, 0), 0);
}

/* Binding */

static void test_second_master(UNUSED void **state)
{
    const struct control_settings settings = {.path = path, .mode = 0600};
    CLEANUP_FREE char *error = NULL;
    struct control *control = NULL;
    assert_int_equal(control_new(fake.event, &settings, &fake_master_ops, &fake, &control, &error),
                     -EADDRINUSE);
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "pid %d ", (int)getpid());
    assert_non_null(strstr(error, pid));
    assert_non_null(strstr(error, path));
    assert_null(control);
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    close_peer(&peer);
}

static void test_stale_socket(UNUSED void **state)
{
    fake.control = control_free(fake.control);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    (void)close(fd);
    fake.control = serve_group(0600, getegid());
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    close_peer(&peer);
}

static void test_bad_paths(UNUSED void **state)
{
    static const char *const paths[] = {
        "/nonexistent/directory/control.sock",
        "/tmp/"
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000",
    };
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        const struct control_settings settings = {.path = paths[i], .mode = 0600};
        CLEANUP_FREE char *error = NULL;
        struct control *control = NULL;
        assert_true(control_new(fake.event, &settings, &fake_master_ops, &fake, &control, &error) <
                    0);
        assert_non_null(strstr(error, paths[i]));
        assert_null(control);
    }
}

static void test_no_control(UNUSED void **state)
{
    control_publish(NULL, "log", 1, NULL);
    control_answer(NULL, 1, NULL);
    control_finish(NULL);
    assert_null(control_free(NULL));
}

/* Answers that come later */

static void answer_why(uint64_t id)
{
    json_auto_t *found = json_pack("{s:[{s:s}]}", "workers", "name", "web/0");
    control_answer(fake.control, id, found);
}

static void test_why_at_once(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Why\"}");
    expect_and_drop(&peer, "{\"parameters\":{\"workers\":[]}}", false);
    call(&peer, "{\"method\":\"" INTERFACE "Why\",\"parameters\":{\"programs\":[\"nobody\"]}}");
    expect_and_drop(
        &peer, "{\"error\":\"" INTERFACE "NoSuchProgram\",\"parameters\":{\"name\":\"nobody\"}}",
        false);
    close_peer(&peer);
    assert_int_equal(fake.forgotten, 0);
}

/* Each gets its own, in whatever order they come, and may then ask on. */
static void test_why_later(UNUSED void **state)
{
    static const char question[] = "{\"method\":\"" INTERFACE
                                   "Why\",\"parameters\":{\"programs\":[\"soon\"]}}";
    struct peer first = open_peer(), second = open_peer();
    call(&first, question);
    run_until(fake.inquiry == 1);
    call(&second, question);
    run_until(fake.inquiry == 2);
    answer_why(3);
    answer_why(2);
    expect_and_drop(&second, "{\"parameters\":{\"workers\":[{\"name\":\"web/0\"}]}}", false);
    answer_why(2);
    call(&second, "{\"method\":\"" INTERFACE "Version\"}");
    expect_and_drop(&second, "{\"parameters\":{\"version\":\"" RELOADER_VERSION "\"}}", false);
    control_answer(fake.control, 1, NULL);
    expect_and_drop(&first, "{\"error\":\"" INTERFACE "Failed\"}", false);
    close_peer(&first);
    close_peer(&second);
    assert_int_equal(fake.forgotten, 0);
}

static void test_why_of_one_that_leaves(UNUSED void **state)
{
    struct peer peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE "Why\",\"parameters\":{\"programs\":[\"soon\"]}}");
    run_until(fake.inquiry == 1);
    close_peer(&peer);
    run_until(fake.forgotten == 1);
    answer_why(1);
    peer = open_peer();
    call(&peer, "{\"method\":\"" INTERFACE
                "Why\",\"oneway\":true,\"parameters\":{\"programs\":[\"soon\"]}}");
    run_until(fake.forgotten == 2);
    call(&peer, "{\"method\":\"" INTERFACE "Why\",\"parameters\":{\"programs\":[\"soon\"]}}");
    run_until(fake.inquiry == 3);
    control_finish(fake.control);
    expect_and_drop(&peer, "{\"error\":\"" INTERFACE "ShuttingDown\"}", false);
    assert_int_equal(fake.forgotten, 3);
    peer.fd = fd_close(peer.fd);
}

#define served(test)       cmocka_unit_test_setup_teardown(test, setup, teardown)
#define served_short(test) cmocka_unit_test_setup_teardown(test, setup_short, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        served(test_version_and_status),
        served(test_service_interface),
        served(test_errors),
        served(test_pipelined_calls_in_order),
        served(test_a_call_in_pieces),
        served(test_oneway),
        served(test_oneway_and_gone),
        served(test_half_closed_client_gets_its_replies),
        served(test_a_reply_larger_than_the_event_queue),
        served(test_reload_waits),
        served(test_reload_with_progress),
        served(test_reload_that_ended_at_once),
        served(test_reload_without_waiting),
        served(test_reload_client_that_leaves),
        served(test_subscribe),
        served(test_subscriber_that_does_not_read),
        served(test_subscribers_that_do_not_read),
        served(test_a_large_event_for_many),
        served(test_why_at_once),
        served(test_why_later),
        served(test_why_of_one_that_leaves),
        served(test_an_event_that_is_too_large),
        served(test_events_again),
        served(test_events_that_are_gone),
        served(test_wrong_subscriptions),
        served(test_finish_tells_all_events),
        served(test_send),
        served(test_shutdown),
        served(test_finish_tells_all_who_wait),
        served(test_finish_with_a_result),
        served(test_finish_after_the_loop),
        served(test_finish_does_not_wait_for_a_lazy_client),
        served_short(test_silent_client_is_closed),
        served_short(test_half_a_message_is_closed),
        cmocka_unit_test_setup_teardown(test_idle_client_is_closed, setup_idle, teardown),
        served(test_garbage_is_closed),
        served(test_too_long_a_message_is_closed),
        served(test_longest_message_is_taken),
        served(test_too_many_clients),
        served(test_idle_ones_make_room),
        served(test_gateway_leaves_room),
        served_short(test_gateway_is_idle),
        served(test_without_descriptors),
        served(test_nothing_is_left_open),
        served(test_attach),
        served(test_attach_of_others),
        served(test_attach_and_gone),
        served(test_attach_without_taking),
        served(test_attach_and_not_read),
        served(test_peers),
        served(test_second_master),
        served(test_stale_socket),
        served(test_bad_paths),
        served(test_no_control),
    };
    if (!mkdtemp(directory))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/control.sock", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(directory);
    return failed;
}
