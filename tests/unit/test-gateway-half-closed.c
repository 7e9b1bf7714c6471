/* test-gateway-half-closed.c - clients of the HTTP server that send no more: they may read on, or have left, and nothing but time tells. */
#include "http-kit.h"

#include <string.h>
#include <sys/socket.h>

#define DRAIN_USEC (HTTP_DRAIN_SECONDS * USEC_PER_SEC)

static int ask_and_half_close(const char *path)
{
    int fd = ask("GET", path);
    run_until(fixture.request);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    return fd;
}

static void test_not_for_ever(void **state UNUSED)
{
    CLEANUP_FD int fd = ask_and_half_close("/later");
    fixture.hurries_up_to_usec = HTTP_SEND_SECONDS * USEC_PER_SEC;
    run_until(is_closed(fd) && http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_gone, 1);
}

/* Whichever comes first; else it would hold up who replaces or stops us. */
static void test_shorter_in_a_drain(void **state)
{
    for (unsigned drains_first = 0; drains_first < 2; drains_first++) {
        CLEANUP_FD int fd = ask("GET", "/later");
        run_until(fixture.request);
        fixture.hurries_up_to_usec = DRAIN_USEC;
        if (drains_first)
            http_drain(fixture.gateway.http, 0);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        if (!drains_first) {
            settle();
            assert_int_equal(fixture.n_gone, 0);
            http_drain(fixture.gateway.http, 0);
        }
        run_until(is_closed(fd) && fixture.n_drained > 0);
        assert_int_equal(fixture.n_gone, 1);
        assert_int_equal(fixture.length, 0);
        tear_down(state);
        set_up(state);
    }
}

/* When the time of one that is half-closed is over, theirs is not. */
static void test_others_have_the_time_they_need(void **state UNUSED)
{
    CLEANUP_FD int whole = ask("GET", "/later");
    run_until(fixture.request);
    struct http_request *request = TAKE_PTR(fixture.request);
    CLEANUP_FD int half = ask_and_half_close("/later");
    fixture.hurries_up_to_usec = HTTP_SEND_SECONDS * USEC_PER_SEC;
    http_drain(fixture.gateway.http, 0);
    run_until(is_closed(half));
    settle();
    assert_int_equal(fixture.n_gone, 1);
    forget();
    fixture.hurries_up_to_usec = 0;
    fixture.is_patient = true;
    http_reply(request, 200, "text/plain", "done", 4);
    run_until(has_read(whole, "\r\n\r\ndone"));
}

/* More than sockets hold, so that it takes a while. */
static void test_answer_in_a_drain_is_whole(void **state UNUSED)
{
    static char body[8 * 1024 * 1024];
    fixture.is_patient = true;
    CLEANUP_FD int fd = ask_and_half_close("/later");
    http_drain(fixture.gateway.http, 0);
    settle();
    memset(body, 'x', sizeof(body));
    memcpy(body + sizeof(body) - 4, "last", 4);
    http_reply_static(TAKE_PTR(fixture.request), 200, "text/plain", body, sizeof(body));
    settle();
    run_until(has_read_end(fd, "xlast"));
    run_until(is_closed(fd) && fixture.n_drained > 0);
    assert_int_equal(fixture.n_gone, 0);
}

static void handle_will_stream(struct http_request *request)
{
    handle_later(request, &fixture.gateway);
    http_will_stream(request);
}

static void test_stream_that_has_not_begun(void **state UNUSED)
{
    fixture.own = handle_will_stream;
    fixture.hurries_up_to_usec = HTTP_BEGIN_SECONDS * USEC_PER_SEC;
    CLEANUP_FD int fd = ask_and_half_close("/own");
    run_until(is_closed(fd) && http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_gone, 1);
    assert_int_equal(fixture.length, 0);
}

static void test_half_closed_before_its_turn_came(void **state UNUSED)
{
    fixture.own = handle_will_stream;
    CLEANUP_FD int fd = connect_client();
    say(fd, "GET /later HTTP/1.1\r\nHost: here\r\n\r\nGET /own HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    run_until(fixture.request);
    settle();
    fixture.hurries_up_to_usec = HTTP_BEGIN_SECONDS * USEC_PER_SEC;
    http_reply(TAKE_PTR(fixture.request), 200, "text/plain", "one.", 4);
    run_until(is_closed(fd) && http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_handled, 2);
    assert_int_equal(fixture.n_gone, 1);
    assert_non_null(strstr(fixture.text, "\r\n\r\none."));
}

static void test_stream_is_refused(void **state UNUSED)
{
    fixture.own = handle_will_stream;
    fixture.is_patient = true;
    CLEANUP_FD int fd = ask_and_half_close("/own");
    settle();
    http_reply(TAKE_PTR(fixture.request), 404, "text/plain", "nothing", 7);
    run_until(is_closed(fd) && http_connections(fixture.gateway.http) == 0);
    assert_non_null(strstr(fixture.text, "\r\n\r\nnothing"));
    assert_int_equal(fixture.n_gone, 0);
}

/* That is the client's own end, whatever it waited for. */
static void test_reset(void **state UNUSED)
{
    static const char *const paths[] = {"/later", "/own"};
    const struct linger reset = {.l_onoff = 1};
    fixture.own = handle_will_stream;
    fixture.is_patient = true;
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        CLEANUP_FD int fd = ask_and_half_close(paths[i]);
        settle();
        assert_int_equal(fixture.n_gone, i);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        fd = fd_close(fd);
        run_until(fixture.n_gone > i && http_connections(fixture.gateway.http) == 0);
    }
    assert_int_equal(fixture.n_gone, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(test_not_for_ever),
        with_server(test_shorter_in_a_drain),
        with_server(test_others_have_the_time_they_need),
        with_server(test_answer_in_a_drain_is_whole),
        with_server(test_stream_that_has_not_begun),
        with_server(test_half_closed_before_its_turn_came),
        with_server(test_stream_is_refused),
        with_server(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
