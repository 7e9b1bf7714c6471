/*
 * test-link.c - the gateway's calls to a master that the test plays, over socket pairs, in one thread: each wait runs the event loop until
 * something has happened, and fails after DEADLINE_USEC.
 */
#include "gateway/link.h"

#include "base/clock.h"
#include "base/fd.h"
#include "gateway/link-internal.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define DEADLINE_USEC (20 * USEC_PER_SEC)
#define INTERFACE     "io.reloader.Control."

static sd_event *event;
static struct link *link_;

/* The master's end of a connection, and what was read beyond the last call. */
struct end {
    int fd;
    char data[1 << 17];
    size_t size;
};
static struct end first;

/* What a handler heard. */
struct heard {
    unsigned n;
    char error[64];
    json_int_t value; /* the member "n" of the last one */
    bool continues;
    struct link_call *call, *cancels; /* cancelled in the handler */
    bool calls;                       /* once more, in the handler */
};

static void run_once(void)
{
    assert_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
}

static void run_idle(void)
{
    while (sd_event_run(event, 0) > 0)
        ;
}

static void on_reply(const struct link_reply *reply, void *userdata)
{
    struct heard *heard = userdata;
    heard->n++;
    (void)snprintf(heard->error, sizeof(heard->error), "%s", reply->error ? reply->error : "");
    heard->value = json_integer_value(json_object_get(reply->parameters, "n"));
    heard->continues = reply->continues;
    assert_true(json_is_object(reply->parameters));
    heard->cancels = link_cancel(heard->cancels);
    if (heard->calls)
        assert_int_equal(link_call(link_, "Again", NULL, 0, on_reply, heard, &heard->call), 0);
    heard->calls = false;
}

static void wait_heard(const struct heard *heard, unsigned n)
{
    uint64_t end = clock_monotonic_usec() + DEADLINE_USEC;
    while (heard->n < n && clock_monotonic_usec() < end)
        run_once();
    assert_int_equal(heard->n, n);
}

/* The master's side */

static bool readable(const struct end *end)
{
    struct pollfd poll_fd = {.fd = end->fd, .events = POLLIN};
    return memchr(end->data, 0, end->size) || poll(&poll_fd, 1, 0) > 0;
}

/* The next call, or NULL when the connection was closed. */
static json_t *read_call(struct end *end)
{
    uint64_t deadline = clock_monotonic_usec() + DEADLINE_USEC;
    char *nul;
    while (!(nul = memchr(end->data, 0, end->size))) {
        assert_true(clock_monotonic_usec() < deadline);
        run_once();
        ssize_t n = recv(end->fd, end->data + end->size, sizeof(end->data) - end->size,
                         MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return NULL;
        if (n > 0)
            end->size += (size_t)n;
    }
    json_t *call = json_loads(end->data, 0, NULL);
    assert_non_null(call);
    end->size -= (size_t)(nul + 1 - end->data);
    memmove(end->data, nul + 1, end->size);
    return call;
}

static void expect_call(struct end *end, const char *method)
{
    char name[64];
    json_auto_t *call = read_call(end);
    (void)snprintf(name, sizeof(name), INTERFACE "%s", method);
    assert_non_null(call);
    assert_string_equal(json_string_value(json_object_get(call, "method")), name);
}

static void expect_closed(struct end *end)
{
    assert_null(read_call(end));
}

static void expect_silence(struct end *end)
{
    run_idle();
    assert_false(readable(end));
}

static void say(const struct end *end, const char *text)
{
    size_t size = strlen(text) + 1;
    assert_int_equal(send(end->fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void say_fd(const struct end *end, const char *text, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS,
                            .cmsg_len = CMSG_LEN(sizeof(int))}};
    struct iovec vector = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) + 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    assert_int_equal(sendmsg(end->fd, &message, MSG_NOSIGNAL), (ssize_t)vector.iov_len);
}

static int open_pair(struct end *end)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    end->fd = ends[0];
    end->size = 0;
    return ends[1];
}

/* Answers a Connect. */
static void give(struct end *end)
{
    expect_call(&first, "Connect");
    CLEANUP_FD int fd = open_pair(end);
    say_fd(&first, "{\"parameters\":{}}", fd);
}

static void close_end(struct end *end)
{
    end->fd = fd_close(end->fd);
}

static int setup(UNUSED void **state)
{
    assert_true(sd_event_new(&event) >= 0);
    return link_new(event, open_pair(&first), &link_);
}

static int teardown(UNUSED void **state)
{
    link_ = link_free(link_);
    close_end(&first);
    event = sd_event_unref(event);
    return 0;
}

static void call(const char *method, unsigned flags, struct heard *heard)
{
    assert_int_equal(link_call(link_, method, NULL, flags, on_reply, heard, &heard->call), 0);
    assert_int_equal(heard->n, 0);
}

/* Short calls */

static void test_call(UNUSED void **state)
{
    struct heard heard = {0};
    json_t *parameters = json_pack("{s:s}", "name", "x");
    assert_int_equal(link_call(link_, "Why", parameters, 0, on_reply, &heard, NULL), 0);
    json_auto_t *message = read_call(&first);
    json_auto_t *wanted = json_pack("{s:s, s:{s:s}}", "method", INTERFACE "Why", "parameters",
                                    "name", "x");
    assert_true(json_equal(message, wanted));
    say(&first, "{\"parameters\":{\"n\":7}}");
    wait_heard(&heard, 1);
    assert_string_equal(heard.error, "");
    assert_int_equal(heard.value, 7);
    assert_false(heard.continues);
    assert_true(link_is_up(link_));
}

static void test_one_after_the_other(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    call("A", 0, &a);
    call("B", 0, &b);
    expect_call(&first, "A");
    expect_silence(&first);
    say(&first, "{\"parameters\":{\"n\":1}}");
    expect_call(&first, "B");
    wait_heard(&a, 1);
    assert_int_equal(b.n, 0);
    say(&first, "{\"error\":\"a.b.C\",\"parameters\":{\"n\":2}}");
    wait_heard(&b, 1);
    assert_string_equal(b.error, "a.b.C");
    assert_int_equal(b.value, 2);
}

static void test_reply_in_pieces(UNUSED void **state)
{
    struct heard heard = {0};
    call("A", 0, &heard);
    expect_call(&first, "A");
    assert_int_equal(send(first.fd, "{\"parameters\":", 14, 0), 14);
    run_idle();
    assert_int_equal(heard.n, 0);
    say(&first, "null}");
    wait_heard(&heard, 1);
    assert_string_equal(heard.error, "");
}

/* A status of many workers is longer than a socket's buffer. */
static void test_large_reply(UNUSED void **state)
{
    const size_t size = (size_t)4 << 20;
    struct heard heard = {0};
    CLEANUP_FREE char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    memcpy(text, "{\"parameters\":{\"n\":3}", 21);
    memcpy(text + size - 2, "}", 2);
    call("A", 0, &heard);
    expect_call(&first, "A");
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(first.fd, text + sent, size - sent, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        sent += n > 0 ? (size_t)n : 0;
        run_once();
    }
    wait_heard(&heard, 1);
    assert_int_equal(heard.value, 3);
}

static void test_cancel_before_it_is_sent(UNUSED void **state)
{
    struct heard a = {0}, b = {0}, c = {0};
    call("A", 0, &a);
    call("B", 0, &b);
    call("C", 0, &c);
    assert_null(link_cancel(b.call));
    expect_call(&first, "A");
    say(&first, "{}");
    expect_call(&first, "C");
    say(&first, "{}");
    wait_heard(&c, 1);
    assert_int_equal(a.n, 1);
    assert_int_equal(b.n, 0);
}

static void test_cancel_after_it_is_sent(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    call("A", 0, &a);
    expect_call(&first, "A");
    call("B", 0, &b);
    (void)link_cancel(a.call);
    expect_silence(&first);
    say(&first, "{\"parameters\":{\"n\":1}}");
    expect_call(&first, "B");
    say(&first, "{\"parameters\":{\"n\":2}}");
    wait_heard(&b, 1);
    assert_int_equal(b.value, 2);
    assert_int_equal(a.n, 0);
    assert_null(link_cancel(NULL));
}

static void test_call_and_cancel_in_a_handler(UNUSED void **state)
{
    struct heard a = {.calls = true}, b = {0}, c = {0};
    call("A", 0, &a);
    call("B", 0, &b);
    call("C", 0, &c);
    a.cancels = c.call;
    expect_call(&first, "A");
    say(&first, "{}");
    expect_call(&first, "B");
    say(&first, "{}");
    expect_call(&first, "Again");
    say(&first, "{}");
    wait_heard(&a, 2);
    assert_int_equal(b.n, 1);
    assert_int_equal(c.n, 0);
}

/* One that the master would close the connection for. */
static void test_invalid_call(UNUSED void **state)
{
    struct heard heard = {0};
    CLEANUP_FREE char *text = calloc(1, LINK_CALL_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', LINK_CALL_MAX);
    json_t *parameters = json_pack("{s:s}", "message", text);
    assert_int_equal(link_call(link_, "Send", parameters, 0, on_reply, &heard, NULL), 0);
    assert_int_equal(heard.n, 0);
    wait_heard(&heard, 1);
    assert_string_equal(heard.error, LINK_ERROR_INVALID);
    json_t *nul = json_pack("{s:o}", "message", json_stringn("a\0b", 3));
    assert_int_equal(link_call(link_, "Send", nul, 0, on_reply, &heard, NULL), 0);
    wait_heard(&heard, 2);
    assert_string_equal(heard.error, LINK_ERROR_INVALID);
    expect_silence(&first);
}

static void test_queue_is_full(UNUSED void **state)
{
    static struct heard heard[LINK_QUEUE_MAX + 3];
    memset(heard, 0, sizeof(heard));
    for (size_t i = 0; i < ARRAY_SIZE(heard); i++)
        call("A", 0, &heard[i]);
    wait_heard(&heard[LINK_QUEUE_MAX + 2], 1);
    assert_string_equal(heard[LINK_QUEUE_MAX + 2].error, LINK_ERROR_BUSY);
    wait_heard(&heard[LINK_QUEUE_MAX + 1], 1);
    for (size_t i = 0; i <= LINK_QUEUE_MAX; i++) {
        assert_int_equal(heard[i].n, 0);
        expect_call(&first, "A");
        say(&first, "{}");
        wait_heard(&heard[i], 1);
        assert_string_equal(heard[i].error, "");
    }
}

/* What it says too late is not taken for another call's reply. */
static void test_master_does_not_answer(UNUSED void **state)
{
    struct heard a = {0}, b = {0}, c = {0};
    link_->answer_usec = 0;
    call("A", 0, &a);
    call("B", 0, &b);
    expect_call(&first, "A");
    wait_heard(&a, 1);
    wait_heard(&b, 1);
    assert_string_equal(a.error, LINK_ERROR_TIMEOUT);
    assert_string_equal(b.error, LINK_ERROR_TIMEOUT);
    assert_true(link_is_up(link_));
    link_->answer_usec = DEADLINE_USEC;
    call("C", 0, &c);
    expect_silence(&first);
    say(&first, "{\"parameters\":{\"n\":1}}");
    expect_call(&first, "C");
    say(&first, "{\"parameters\":{\"n\":2}}");
    wait_heard(&c, 1);
    assert_int_equal(c.value, 2);
}

static void test_connect_is_not_answered(UNUSED void **state)
{
    struct heard heard = {0};
    struct end lane;
    link_->answer_usec = 0;
    call("A", LINK_LONG, &heard);
    wait_heard(&heard, 1);
    assert_string_equal(heard.error, LINK_ERROR_TIMEOUT);
    give(&lane);
    expect_closed(&lane);
    close_end(&lane);
}

/* The end */

static void test_gone(UNUSED void **state)
{
    struct heard a = {0}, b = {0}, c = {0}, d = {0}, e = {0}, f = {0};
    struct end lane;
    call("A", LINK_MORE, &a);
    give(&lane);
    expect_call(&lane, "A");
    call("B", 0, &b);
    call("C", 0, &c);
    call("D", LINK_LONG, &d);
    assert_int_equal(link_status(link_, on_reply, &e, NULL), 0);
    expect_call(&first, "B");
    close_end(&first);
    wait_heard(&a, 1);
    wait_heard(&b, 1);
    wait_heard(&c, 1);
    wait_heard(&d, 1);
    wait_heard(&e, 1);
    assert_string_equal(a.error, LINK_ERROR_GONE);
    assert_string_equal(b.error, LINK_ERROR_GONE);
    assert_string_equal(c.error, LINK_ERROR_GONE);
    assert_string_equal(e.error, LINK_ERROR_GONE);
    assert_string_equal(d.error, LINK_ERROR_GONE);
    assert_false(link_is_up(link_));
    expect_closed(&lane);
    close_end(&lane);
    call("F", LINK_LONG, &f);
    wait_heard(&f, 1);
    assert_string_equal(f.error, LINK_ERROR_GONE);
    assert_int_equal(link_status(link_, on_reply, &f, NULL), 0);
    assert_int_equal(f.n, 1);
    wait_heard(&f, 2);
    assert_string_equal(f.error, LINK_ERROR_GONE);
}

static void test_gone_and_cancelled(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    call("A", 0, &a);
    call("B", 0, &b);
    a.cancels = b.call;
    close_end(&first);
    wait_heard(&a, 1);
    run_idle();
    assert_int_equal(b.n, 0);
}

/* What it said last is heard before its end is. */
static void test_reply_and_gone(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    call("A", 0, &a);
    call("B", 0, &b);
    expect_call(&first, "A");
    say(&first, "{\"parameters\":{\"n\":1}}");
    close_end(&first);
    wait_heard(&a, 1);
    wait_heard(&b, 1);
    assert_int_equal(a.value, 1);
    assert_string_equal(a.error, "");
    assert_string_equal(b.error, LINK_ERROR_GONE);
}

static void expect_gone_by(const char *text, size_t size)
{
    struct heard heard = {0};
    call("A", 0, &heard);
    expect_call(&first, "A");
    assert_int_equal(send(first.fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
    wait_heard(&heard, 1);
    assert_string_equal(heard.error, LINK_ERROR_GONE);
    assert_false(link_is_up(link_));
    expect_closed(&first);
}

static void test_no_json(UNUSED void **state)
{
    expect_gone_by("garbage", 8);
}

static void test_no_object(UNUSED void **state)
{
    expect_gone_by("[]", 3);
}

static void test_parameters_are_no_object(UNUSED void **state)
{
    expect_gone_by("{\"parameters\":[]}", 18);
}

static void test_error_is_no_text(UNUSED void **state)
{
    expect_gone_by("{\"error\":1}", 12);
}

static void test_continues_unasked(UNUSED void **state)
{
    expect_gone_by("{\"continues\":true}", 19);
}

static void test_reply_to_nothing(UNUSED void **state)
{
    say(&first, "{}");
    expect_closed(&first);
    assert_false(link_is_up(link_));
}

static void test_reply_without_end(UNUSED void **state)
{
    struct heard heard = {0};
    static char blanks[1 << 16];
    memset(blanks, ' ', sizeof(blanks));
    call("A", 0, &heard);
    expect_call(&first, "A");
    size_t sent = 0;
    while (heard.n == 0) {
        ssize_t n = send(first.fd, blanks, sizeof(blanks), MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN || errno == EPIPE);
        sent += n > 0 ? (size_t)n : 0;
        assert_true(sent < 2 * LINK_REPLY_MAX);
        run_once();
    }
    assert_string_equal(heard.error, LINK_ERROR_GONE);
    assert_true(sent >= LINK_REPLY_MAX);
}

/* Connections of their own */

static void test_stream(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    struct end lane;
    call("A", LINK_MORE, &a);
    give(&lane);
    json_auto_t *message = read_call(&lane);
    assert_true(json_is_true(json_object_get(message, "more")));
    say(&lane, "{\"continues\":true,\"parameters\":{\"n\":1}}");
    wait_heard(&a, 1);
    assert_true(a.continues);
    call("B", 0, &b);
    expect_call(&first, "B");
    say(&first, "{}");
    wait_heard(&b, 1);
    say(&lane, "{\"continues\":true,\"parameters\":{\"n\":2}}");
    say(&lane, "{\"parameters\":{\"n\":3}}");
    wait_heard(&a, 3);
    assert_int_equal(a.value, 3);
    assert_false(a.continues);
    close_end(&lane);
}

/* It is kept for the next one. */
static void test_lane_is_kept(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    struct end lane;
    call("A", LINK_LONG, &a);
    give(&lane);
    expect_call(&lane, "A");
    say(&lane, "{}");
    wait_heard(&a, 1);
    call("B", LINK_LONG, &b);
    expect_call(&lane, "B");
    expect_silence(&first);
    say(&lane, "{}");
    wait_heard(&b, 1);
    close_end(&lane);
}

static void test_idle_lane_is_closed_by_the_master(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    struct end lane, other;
    call("A", LINK_LONG, &a);
    give(&lane);
    expect_call(&lane, "A");
    say(&lane, "{}");
    close_end(&lane);
    wait_heard(&a, 1);
    run_idle();
    assert_true(link_is_up(link_));
    call("B", LINK_LONG, &b);
    give(&other);
    expect_call(&other, "B");
    close_end(&other);
    wait_heard(&b, 1);
    assert_string_equal(b.error, LINK_ERROR_GONE);
    assert_true(link_is_up(link_));
}

static void test_cancelled_stream_is_closed(UNUSED void **state)
{
    struct heard heard = {0};
    struct end lane;
    call("A", LINK_MORE, &heard);
    give(&lane);
    expect_call(&lane, "A");
    (void)link_cancel(heard.call);
    expect_closed(&lane);
    close_end(&lane);
    assert_true(link_is_up(link_));
}

/* By its own handler, with more behind it already. */
static void test_stream_cancels_itself(UNUSED void **state)
{
    struct heard heard = {0};
    struct end lane;
    call("A", LINK_MORE, &heard);
    heard.cancels = heard.call;
    give(&lane);
    expect_call(&lane, "A");
    static const char both[] = "{\"continues\":true}\0{\"continues\":true}";
    assert_int_equal(send(lane.fd, both, sizeof(both), 0), sizeof(both));
    wait_heard(&heard, 1);
    expect_closed(&lane);
    close_end(&lane);
    assert_int_equal(heard.n, 1);
}

static void test_cancelled_while_it_connects(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    struct end lane;
    call("A", LINK_MORE, &a);
    (void)link_cancel(a.call);
    give(&lane);
    expect_silence(&lane);
    call("B", LINK_MORE, &b);
    expect_call(&lane, "B");
    close_end(&lane);
    wait_heard(&b, 1);
    assert_int_equal(a.n, 0);
}

static void test_connect_is_refused(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    struct end lane;
    call("A", LINK_LONG, &a);
    call("B", LINK_LONG, &b);
    expect_call(&first, "Connect");
    say(&first, "{\"error\":\"" INTERFACE "TooManyClients\",\"parameters\":{}}");
    wait_heard(&a, 1);
    assert_string_equal(a.error, INTERFACE "TooManyClients");
    give(&lane);
    expect_call(&lane, "B");
    say(&lane, "{}");
    wait_heard(&b, 1);
    assert_string_equal(b.error, "");
    expect_silence(&first);
    close_end(&lane);
}

/* Who waits for a refused one may have another that is on its way. */
static void test_connect_is_refused_and_not_needed(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    struct end lane;
    call("A", LINK_LONG, &a);
    call("B", LINK_LONG, &b);
    (void)link_cancel(a.call);
    expect_call(&first, "Connect");
    say(&first, "{\"error\":\"" INTERFACE "TooManyClients\",\"parameters\":{}}");
    give(&lane);
    expect_call(&lane, "B");
    close_end(&lane);
    wait_heard(&b, 1);
    assert_string_equal(b.error, LINK_ERROR_GONE);
}

static void test_connect_is_refused_for_good(UNUSED void **state)
{
    struct heard heard = {0};
    call("A", LINK_LONG, &heard);
    expect_call(&first, "Connect");
    say(&first, "{\"error\":\"" INTERFACE "TooManyClients\",\"parameters\":{}}");
    wait_heard(&heard, 1);
    assert_string_equal(heard.error, INTERFACE "TooManyClients");
    memset(&heard, 0, sizeof(heard));
    call("A", LINK_LONG, &heard);
    expect_call(&first, "Connect");
    say(&first, "{}");
    wait_heard(&heard, 1);
    assert_string_equal(heard.error, LINK_ERROR_GONE);
    assert_true(link_is_up(link_));
}

static void test_unwanted_descriptor_is_closed(UNUSED void **state)
{
    struct heard heard = {0};
    struct end lane;
    call("A", 0, &heard);
    expect_call(&first, "A");
    int fd = open_pair(&lane);
    say_fd(&first, "{}", fd);
    (void)fd_close(fd);
    wait_heard(&heard, 1);
    expect_closed(&lane);
    close_end(&lane);
}

static void test_streams_are_bounded(UNUSED void **state)
{
    static struct end lanes[LINK_CONNECTIONS_MAX];
    static struct heard heard[LINK_CONNECTIONS_MAX + 1];
    memset(heard, 0, sizeof(heard));
    for (size_t i = 0; i < LINK_STREAMS_MAX; i++) {
        call("A", LINK_MORE, &heard[i]);
        give(&lanes[i]);
        expect_call(&lanes[i], "A");
    }
    struct heard more = {0};
    call("A", LINK_MORE, &more);
    wait_heard(&more, 1);
    assert_string_equal(more.error, LINK_ERROR_BUSY);
    size_t last = LINK_CONNECTIONS_MAX - 1;
    for (size_t i = LINK_STREAMS_MAX; i < last; i++) {
        call("B", LINK_LONG, &heard[i]);
        give(&lanes[i]);
        expect_call(&lanes[i], "B");
    }
    call("C", LINK_LONG, &heard[last]);
    expect_silence(&first);
    say(&lanes[LINK_STREAMS_MAX], "{}");
    expect_call(&lanes[LINK_STREAMS_MAX], "C");
    (void)link_cancel(heard[0].call);
    memset(&more, 0, sizeof(more));
    call("A", LINK_MORE, &more);
    give(&lanes[last]);
    expect_call(&lanes[last], "A");
    for (size_t i = 0; i < LINK_CONNECTIONS_MAX; i++)
        close_end(&lanes[i]);
    wait_heard(&more, 1);
}

static void test_some_idle_lanes_are_kept(UNUSED void **state)
{
    static struct end lanes[LINK_IDLE_MAX + 2];
    static struct heard heard[LINK_IDLE_MAX + 2];
    memset(heard, 0, sizeof(heard));
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++) {
        call("A", LINK_LONG, &heard[i]);
        give(&lanes[i]);
        expect_call(&lanes[i], "A");
    }
    unsigned n_closed = 0;
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++) {
        say(&lanes[i], "{}");
        wait_heard(&heard[i], 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++) {
        n_closed += readable(&lanes[i]);
        close_end(&lanes[i]);
    }
    assert_int_equal(n_closed, 2);
}

/* Status */

static void ask(struct heard *heard)
{
    assert_int_equal(link_status(link_, on_reply, heard, &heard->call), 0);
    assert_int_equal(heard->n, 0);
}

static void test_status_is_shared(UNUSED void **state)
{
    struct heard a = {0}, b = {0}, c = {0}, d = {0};
    ask(&a);
    expect_call(&first, "Status");
    ask(&b);
    ask(&c);
    (void)link_cancel(c.call);
    say(&first, "{\"parameters\":{\"n\":1}}");
    wait_heard(&a, 1);
    wait_heard(&b, 1);
    assert_int_equal(b.value, 1);
    assert_int_equal(c.n, 0);
    /* Whether that is still good depends on the time, which tests must not. */
    ask(&d);
    run_idle();
    if (d.n == 0) {
        expect_call(&first, "Status");
        say(&first, "{\"parameters\":{\"n\":1}}");
    }
    wait_heard(&d, 1);
    assert_int_equal(d.value, 1);
}

/* After a change only what was asked for later counts. */
static void test_status_is_forgotten(UNUSED void **state)
{
    struct heard a = {0}, b = {0}, c = {0}, d = {0};
    ask(&a);
    expect_call(&first, "Status");
    link_forget_status(link_);
    ask(&b);
    say(&first, "{\"parameters\":{\"n\":1}}");
    wait_heard(&a, 1);
    assert_int_equal(a.value, 1);
    assert_int_equal(b.n, 0);
    expect_call(&first, "Status");
    link_forget_status(link_);
    ask(&c);
    (void)link_cancel(c.call);
    say(&first, "{\"parameters\":{\"n\":2}}");
    wait_heard(&b, 1);
    assert_int_equal(b.value, 2);
    assert_int_equal(c.n, 0);
    ask(&d);
    expect_call(&first, "Status");
    say(&first, "{\"parameters\":{\"n\":3}}");
    wait_heard(&d, 1);
    assert_int_equal(d.value, 3);
}

/* However many ask, and forget: ten a second. */
static void test_status_is_asked_for_seldom(UNUSED void **state)
{
    struct heard heard = {0};
    uint64_t began = clock_monotonic_usec();
    for (unsigned i = 0; i < 5; i++) {
        ask(&heard);
        link_forget_status(link_);
        expect_call(&first, "Status");
        say(&first, "{}");
        wait_heard(&heard, 1);
        heard = (struct heard){0};
        link_forget_status(link_);
    }
    assert_true(clock_monotonic_usec() - began >= 4 * LINK_STATUS_USEC);
}

static void test_status_fails(UNUSED void **state)
{
    struct heard a = {0}, b = {0};
    ask(&a);
    expect_call(&first, "Status");
    say(&first, "{\"error\":\"" INTERFACE "Failed\",\"parameters\":{\"n\":4}}");
    wait_heard(&a, 1);
    assert_string_equal(a.error, INTERFACE "Failed");
    assert_int_equal(a.value, 4);
    ask(&b);
    expect_call(&first, "Status");
    say(&first, "{\"parameters\":{\"n\":5}}");
    wait_heard(&b, 1);
    assert_string_equal(b.error, "");
}

/* All at once, with everything in between. */
static void test_freed_in_the_midst(UNUSED void **state)
{
    struct heard heard[6] = {0};
    struct end lane;
    call("A", LINK_MORE, &heard[0]);
    give(&lane);
    expect_call(&lane, "A");
    call("B", LINK_LONG, &heard[1]);
    call("C", 0, &heard[2]);
    call("D", 0, &heard[3]);
    ask(&heard[4]);
    link_forget_status(link_);
    ask(&heard[5]);
    link_ = link_free(link_);
    expect_closed(&lane);
    close_end(&lane);
    for (size_t i = 0; i < ARRAY_SIZE(heard); i++)
        assert_int_equal(heard[i].n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_call),
        TEST(test_one_after_the_other),
        TEST(test_reply_in_pieces),
        TEST(test_large_reply),
        TEST(test_cancel_before_it_is_sent),
        TEST(test_cancel_after_it_is_sent),
        TEST(test_call_and_cancel_in_a_handler),
        TEST(test_invalid_call),
        TEST(test_queue_is_full),
        TEST(test_master_does_not_answer),
        TEST(test_connect_is_not_answered),
        TEST(test_gone),
        TEST(test_gone_and_cancelled),
        TEST(test_reply_and_gone),
        TEST(test_no_json),
        TEST(test_no_object),
        TEST(test_parameters_are_no_object),
        TEST(test_error_is_no_text),
        TEST(test_continues_unasked),
        TEST(test_reply_to_nothing),
        TEST(test_reply_without_end),
        TEST(test_stream),
        TEST(test_lane_is_kept),
        TEST(test_idle_lane_is_closed_by_the_master),
        TEST(test_cancelled_stream_is_closed),
        TEST(test_stream_cancels_itself),
        TEST(test_cancelled_while_it_connects),
        TEST(test_connect_is_refused),
        TEST(test_connect_is_refused_and_not_needed),
        TEST(test_connect_is_refused_for_good),
        TEST(test_unwanted_descriptor_is_closed),
        TEST(test_streams_are_bounded),
        TEST(test_some_idle_lanes_are_kept),
        TEST(test_status_is_shared),
        TEST(test_status_is_forgotten),
        TEST(test_status_is_asked_for_seldom),
        TEST(test_status_fails),
        TEST(test_freed_in_the_midst),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
