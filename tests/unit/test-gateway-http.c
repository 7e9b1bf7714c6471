/* test-gateway-http.c - the HTTP server with handlers of the test's own: answers that come later, streams, clients that leave, draining. */
#include "http-kit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void test_answers_at_once(void **state UNUSED)
{
    CLEANUP_FD int fd = ask("GET", "/now?q=a%20b+c");
    run_until(has_read(fd, "/now a b c 0 "));
    assert_non_null(strstr(fixture.text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(fixture.text, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(fixture.text, "Cache-Control: no-store\r\n"));
    struct sockaddr_in own;
    socklen_t size = sizeof(own);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &size), 0);
    assert_memory_equal(&fixture.peer, &own, sizeof(own));
    /* The connection stays. */
    forget();
    say(fd, "POST /now HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello");
    run_until(has_read(fd, "/now - 5 hello"));
    forget();
    say(fd, "HEAD /now HTTP/1.1\r\nHost: here\r\n\r\n");
    run_until(has_read(fd, "\r\n\r\n"));
    assert_null(strstr(fixture.text, "/now"));
    assert_false(fixture.is_closed);
}

static void test_chunked_body(void **state UNUSED)
{
    CLEANUP_FD int fd = connect_client();
    say(fd, "POST /now HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    settle();
    assert_int_equal(fixture.n_handled, 0);
    say(fd, "2\r\nde\r\n0\r\n\r\n");
    run_until(has_read(fd, "/now - 5 abcde"));
}

static void test_answers_later(void **state UNUSED)
{
    CLEANUP_FD int fd = ask("GET", "/later");
    run_until(fixture.request);
    settle();
    look(fd);
    assert_int_equal(fixture.length, 0);
    http_add_header(fixture.request, "X-More", "one\r\nX-Evil: two");
    http_reply_json(TAKE_PTR(fixture.request), 201, json_pack("{s:i,s:i}", "b", 1, "a", 2));
    run_until(has_read(fd, "{\"b\":1,\"a\":2}"));
    assert_non_null(strstr(fixture.text, "HTTP/1.1 201 Created\r\n"));
    assert_non_null(strstr(fixture.text, "X-More: one  X-Evil: two\r\n"));
    assert_int_equal(fixture.n_gone, 0);
}

static void test_client_leaves_before_the_answer(void **state UNUSED)
{
    const struct linger reset = {.l_onoff = 1};
    int fd = ask("GET", "/later");
    run_until(fixture.request);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    (void)fd_close(fd);
    run_until(fixture.n_gone > 0);
    run_until(http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_gone, 1);
}

/* One that says no more might read on, but not for ever. */
static void test_client_closes_before_the_answer(void **state UNUSED)
{
    int fd = ask("GET", "/later");
    run_until(fixture.request);
    fixture.hurries_up_to_usec = HTTP_SEND_SECONDS * USEC_PER_SEC;
    (void)fd_close(fd);
    run_until(fixture.n_gone > 0);
    run_until(http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_gone, 1);
}

static void test_client_half_closes(void **state UNUSED)
{
    CLEANUP_FD int fd = connect_client();
    say(fd, "GET /later HTTP/1.1\r\nHost: here\r\n\r\nGET /later?2 HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    for (unsigned i = 1; i <= 2; i++) {
        run_until(fixture.request && fixture.n_handled == i);
        settle();
        assert_int_equal(fixture.n_gone, 0);
        http_reply(TAKE_PTR(fixture.request), 200, "text/plain", i == 1 ? "one." : "two.", 4);
    }
    run_until(is_closed(fd));
    assert_non_null(strstr(fixture.text, "\r\n\r\none.HTTP/1.1 200 OK"));
    assert_non_null(strstr(fixture.text, "\r\n\r\ntwo."));
    run_until(http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_gone, 0);
}

static void test_stream(void **state UNUSED)
{
    CLEANUP_FD int fd = ask("GET", "/stream");
    run_until(has_read(fd, "\r\n\r\n"));
    assert_int_equal(http_stream_send(fixture.request, "first\n", 6), 0);
    run_until(has_read(fd, "first\n"));
    settle();
    assert_int_equal(http_stream_send(fixture.request, "second\n", 7), 0);
    run_until(has_read(fd, "second\n"));
    assert_int_equal(http_stream_pending(fixture.request), 0);
    assert_int_equal(http_stream_send(fixture.request, "last\n", 5), 0);
    http_stream_end(TAKE_PTR(fixture.request));
    run_until(has_read(fd, "last\n\r\n0\r\n\r\n"));
    assert_int_equal(fixture.n_gone, 0);
    forget();
    say(fd, "GET /now HTTP/1.1\r\nHost: here\r\n\r\n");
    run_until(has_read(fd, "/now"));
}

static void test_client_leaves_a_stream(void **state UNUSED)
{
    int fd = ask("GET", "/stream");
    run_until(has_read(fd, "\r\n\r\n"));
    settle();
    (void)fd_close(fd);
    run_until(fixture.n_gone > 0);
    run_until(http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_gone, 1);
}

static void test_reader_is_behind(void **state UNUSED)
{
    static char block[16384];
    CLEANUP_FD int fd = ask("GET", "/stream");
    memset(block, 'x', sizeof(block));
    run_until(has_read(fd, "\r\n\r\n"));
    /* The sockets take some, the queue the rest. */
    unsigned n = 0;
    while (http_stream_send(fixture.request, block, sizeof(block)) == 0) {
        assert_true(n++ < TURNS);
        (void)sd_event_run(fixture.gateway.event, 0);
    }
    assert_int_equal(http_stream_send(fixture.request, block, sizeof(block)), -ENOBUFS);
    assert_true(http_stream_pending(fixture.request) <= HTTP_STREAM_QUEUE_MAX);
    assert_int_equal(fixture.n_gone, 0);
    http_stream_end(TAKE_PTR(fixture.request));
    run_until(has_read_end(fd, "\r\n0\r\n\r\n"));
    assert_int_equal(fixture.n_gone, 0);
}

/* Its handler goes on as if it had begun, until it is told. */
static void test_no_memory_for_a_stream(void **state UNUSED)
{
    fixture.has_no_memory = true;
    for (unsigned later = 0; later < 2; later++) {
        fixture.n_gone = 0;
        forget();
        CLEANUP_FD int fd = ask("GET", later ? "/later" : "/stream");
        run_until(later ? fixture.request != NULL : fixture.n_gone > 0);
        if (later) {
            settle();
            http_stream_begin(fixture.request, "text/plain");
            assert_int_equal(fixture.n_gone, 0);
            assert_int_equal(http_stream_send(fixture.request, "x", 1), 0);
        }
        run_until(fixture.n_gone > 0 && http_connections(fixture.gateway.http) == 0);
        assert_int_equal(fixture.n_gone, 1);
        look(fd);
        assert_int_equal(fixture.length, 0);
    }
    CLEANUP_FD UNUSED int fd = ask("GET", "/later");
    run_until(fixture.request);
    http_stream_begin(fixture.request, "text/plain");
    http_stream_end(TAKE_PTR(fixture.request));
    fixture.n_gone = 0;
    run_until(is_closed(fd) && http_connections(fixture.gateway.http) == 0);
    assert_int_equal(fixture.n_gone, 0);
}

static void test_head_of_a_stream(void **state UNUSED)
{
    CLEANUP_FD int fd = ask("HEAD", "/stream");
    run_until(has_read(fd, "\r\n\r\n"));
    run_until(fixture.n_gone > 0);
    assert_int_equal(fixture.n_gone, 1);
}

static void test_unauthorized_after_a_while(void **state UNUSED)
{
    fixture.verdict = ACCESS_UNAUTHORIZED;
    fixture.delay_usec = 50 * USEC_PER_MSEC;
    CLEANUP_FD int fd = ask("GET", "/now");
    run_until(has_read(fd, "{\"error\":\"unauthorized\"}"));
    assert_non_null(strstr(fixture.text, "HTTP/1.1 401 Unauthorized\r\n"));
    assert_non_null(
        strstr(fixture.text, "WWW-Authenticate: Basic realm=\"reloader\", charset=\"UTF-8\"\r\n"));
    assert_int_equal(fixture.n_handled, 0);
}

static void test_client_does_not_wait_for_the_refusal(void **state UNUSED)
{
    fixture.verdict = ACCESS_UNAUTHORIZED;
    fixture.delay_usec = 3600 * USEC_PER_SEC;
    int fd = ask("GET", "/now");
    run_until(http_connections(fixture.gateway.http) == 1);
    settle();
    (void)fd_close(fd);
    run_until(http_connections(fixture.gateway.http) == 0);
}

static void expect_status(enum access_verdict verdict, const char *method, const char *path,
                          const char *status)
{
    forget();
    fixture.verdict = verdict;
    CLEANUP_FD int fd = ask(method, path);
    run_until(has_read(fd, "\r\n\r\n"));
    assert_int_equal(strncmp(fixture.text, status, strlen(status)), 0);
}

static void test_refusals(void **state UNUSED)
{
    expect_status(ACCESS_FORBIDDEN, "GET", "/now", "HTTP/1.1 403 ");
    assert_non_null(strstr(fixture.text, "{\"error\":\"because\"}"));
    expect_status(ACCESS_MISDIRECTED, "GET", "/later", "HTTP/1.1 421 ");
    assert_non_null(strstr(fixture.text, "application/problem+json"));
    assert_non_null(strstr(fixture.text, "\"status\":421,\"detail\":\"because\"}"));
    expect_status(ACCESS_GRANTED, "GET", "/nothing", "HTTP/1.1 404 ");
    expect_status(ACCESS_GRANTED, "POST", "/later", "HTTP/1.1 405 ");
    assert_non_null(strstr(fixture.text, "Allow: GET, HEAD\r\n"));
    expect_status(ACCESS_GRANTED, "DELETE", "/now", "HTTP/1.1 405 ");
    assert_non_null(strstr(fixture.text, "Allow: GET, HEAD, POST\r\n"));
    assert_int_equal(fixture.n_handled, 0);
}

static void test_drain_lets_requests_finish(void **state UNUSED)
{
    CLEANUP_FD int idle = connect_client();
    CLEANUP_FD int fd = ask("GET", "/later");
    run_until(fixture.request && http_connections(fixture.gateway.http) == 2);
    http_drain(fixture.gateway.http, 0);
    run_until(is_closed(idle));
    assert_int_equal(fixture.n_drained, 0);
    forget();
    http_reply(TAKE_PTR(fixture.request), 200, "text/plain", "done", 4);
    run_until(is_closed(fd));
    assert_non_null(strstr(fixture.text, "Connection: close\r\n"));
    assert_non_null(strstr(fixture.text, "\r\n\r\ndone"));
    run_until(fixture.n_drained > 0);
    assert_int_equal(fixture.n_drained, 1);
}

static void test_drain_serves_what_an_idle_connection_still_asks(void **state UNUSED)
{
    CLEANUP_FD int fd = ask("GET", "/now");
    run_until(has_read(fd, "/now - 0"));
    forget();
    http_drain(fixture.gateway.http, 0);
    say(fd, "GET /now HTTP/1.1\r\nHost: here\r\n\r\n");
    run_until(is_closed(fd));
    assert_non_null(strstr(fixture.text, "Connection: close\r\n"));
    assert_non_null(strstr(fixture.text, "/now - 0"));
}

static void test_drain_ends_streams(void **state UNUSED)
{
    CLEANUP_FD int fd = ask("GET", "/stream");
    run_until(has_read(fd, "\r\n\r\n"));
    /* Not in this test's time; and then at once. */
    http_drain(fixture.gateway.http, 3600 * 1000);
    assert_int_equal(http_stream_send(fixture.request, "more\n", 5), 0);
    run_until(has_read(fd, "more\n"));
    assert_int_equal(fixture.n_gone, 0);
    http_drain(fixture.gateway.http, 0);
    run_until(is_closed(fd));
    assert_non_null(strstr(fixture.text, "\r\n0\r\n\r\n"));
    assert_int_equal(fixture.n_gone, 1);
    run_until(fixture.n_drained > 0);
}

static void test_free_with_everything_open(void **state UNUSED)
{
    CLEANUP_FD int idle = connect_client();
    CLEANUP_FD int later = ask("GET", "/later");
    run_until(fixture.n_handled == 1);
    CLEANUP_FD int stream = ask("GET", "/stream");
    run_until(has_read(stream, "\r\n\r\n"));
    fixture.verdict = ACCESS_UNAUTHORIZED;
    fixture.delay_usec = 3600 * USEC_PER_SEC;
    CLEANUP_FD int delayed = ask("GET", "/now");
    run_until(http_connections(fixture.gateway.http) == 4);
    settle();
    fixture.gateway.http = http_free(fixture.gateway.http);
    assert_int_equal(fixture.n_gone, 2);
    assert_true(is_closed(idle) && is_closed(later) && is_closed(stream) && is_closed(delayed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(test_answers_at_once),
        with_server(test_chunked_body),
        with_server(test_answers_later),
        with_server(test_client_leaves_before_the_answer),
        with_server(test_client_closes_before_the_answer),
        with_server(test_client_half_closes),
        with_server(test_stream),
        with_server(test_client_leaves_a_stream),
        with_server(test_reader_is_behind),
        with_server(test_no_memory_for_a_stream),
        with_server(test_head_of_a_stream),
        with_server(test_unauthorized_after_a_while),
        with_server(test_client_does_not_wait_for_the_refusal),
        with_server(test_refusals),
        with_server(test_drain_lets_requests_finish),
        with_server(test_drain_serves_what_an_idle_connection_still_asks),
        with_server(test_drain_ends_streams),
        with_server(test_free_with_everything_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
