/* What a worker did to a listener that it shares is undone, and an epoll hears of a shutdown, but never of connections. */
#include "net/listener.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct listener_options options = {.backlog = 37};

/* Named by number: a port that the kernel chose for bind() is not kept when the socket is shut down. */
static void choose_port(struct address *address)
{
    struct address chosen;
    CLEANUP_FD int fd = socket(address->socket.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address->socket.in.sin_port = 0;
    assert_int_equal(bind(fd, &address->socket.generic, address->length), 0);
    assert_int_equal(address_of_socket(fd, &chosen), 0);
    address->socket.in.sin_port = chosen.socket.in.sin_port;
}

/* At an abstract name of our own, or at a free port. */
static struct listener *open_one(const char *text)
{
    struct address address;
    const char *reason;
    struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL, *unique = string_format("%s-%d", text, (int)getpid());
    bool ip = strncmp(text, "unix:", 5) != 0;
    assert_int_equal(address_parse(ip ? text : unique, &address, &reason), 0);
    if (ip)
        choose_port(&address);
    assert_int_equal(listener_new("web", &address, 1, &options, &listener, &error), 0);
    return listener;
}

static int connect_to(const struct listener *listener)
{
    const struct address *address = &listener->sockets[0]->address;
    int fd = socket(address->socket.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &address->socket.generic, address->length) == 0)
        return fd;
    int error = -errno;
    (void)close(fd);
    return error;
}

static unsigned backlog_of(const struct listener *listener)
{
    unsigned queue, backlog;
    assert_int_equal(listener_queue(listener->sockets[0], &queue, &backlog), 0);
    return backlog;
}

static void test_backlog(void **state UNUSED)
{
    static const char *const addresses[] = {"127.0.0.1:1", "unix:@restore-backlog"};
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        CLEANUP(listener_unrefp) struct listener *listener = open_one(addresses[i]);
        assert_int_equal(listen(listener_fd(listener, 0), 5), 0);
        assert_int_equal(backlog_of(listener), 5);
        assert_int_equal(listener_restore(listener, 3), 0);
        assert_int_equal(backlog_of(listener), 37);
        /* More is no harm. */
        assert_int_equal(listen(listener_fd(listener, 0), 38), 0);
        assert_int_equal(listener_restore(listener, 0), 0);
        assert_int_equal(backlog_of(listener), 38);
    }
}

static void test_shut_down(void **state UNUSED)
{
    CLEANUP(listener_unrefp) struct listener *listener = open_one("127.0.0.1:1");
    assert_int_equal(shutdown(listener_fd(listener, 0), SHUT_RDWR), 0);
    assert_int_equal(connect_to(listener), -ECONNREFUSED);
    assert_int_equal(listener_restore(listener, 0), 1);
    assert_int_equal(backlog_of(listener), 37);
    CLEANUP_FD int client = connect_to(listener);
    assert_true(client >= 0);
    assert_int_equal(listener_restore(listener, 0), 0);
}

/* Somebody else took the address while nobody listened there. */
static void test_taken_meanwhile(void **state UNUSED)
{
    CLEANUP(listener_unrefp) struct listener *listener = open_one("127.0.0.1:1");
    const struct address *address = &listener->sockets[0]->address;
    int on = 1, thief = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(shutdown(listener_fd(listener, 0), SHUT_RDWR), 0);
    assert_int_equal(setsockopt(thief, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(thief, &address->socket.generic, address->length), 0);
    assert_int_equal(listen(thief, 1), 0);
    assert_int_equal(listener_restore(listener, 0), -EADDRINUSE);
    assert_int_equal(listener_restore(listener, 0), 0);
    (void)close(thief);
    assert_int_equal(listener_restore(listener, 0), 1);
}

static void test_unix_is_lost(void **state UNUSED)
{
    CLEANUP(listener_unrefp) struct listener *listener = open_one("unix:@restore-lost");
    assert_int_equal(shutdown(listener_fd(listener, 0), SHUT_WR), 0);
    assert_int_equal(listener_restore(listener, 0), 0);
    assert_int_equal(shutdown(listener_fd(listener, 0), SHUT_RD), 0);
    assert_int_equal(listener_restore(listener, 0), -ESHUTDOWN);
    assert_int_equal(listener_restore(listener, 0), 0);
    assert_int_equal(connect_to(listener), -ECONNREFUSED);
}

static void test_udp_is_left_alone(void **state UNUSED)
{
    CLEANUP(listener_unrefp) struct listener *listener = open_one("udp:127.0.0.1:1");
    CLEANUP_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(listener_socket_watch(listener->sockets[0], epoll), 0);
    assert_int_equal(listener_restore(listener, 0), 0);
}

static int events(int epoll)
{
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, 0);
}

static void test_watch(void **state UNUSED)
{
    static const char *const addresses[] = {"127.0.0.1:1", "unix:@restore-watch"};
    CLEANUP_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        struct listener *listener = open_one(addresses[i]);
        int worker = dup(listener_fd(listener, 0));
        assert_int_equal(listener_socket_watch(listener->sockets[0], epoll), 0);
        assert_int_equal(listener_socket_watch(listener->sockets[0], epoll), 0);
        int client = connect_to(listener);
        assert_true(client >= 0);
        assert_int_equal(events(epoll), 0);
        assert_int_equal(shutdown(worker, SHUT_RDWR), 0);
        assert_int_equal(events(epoll), 1);
        assert_int_equal(events(epoll), 0);
        assert_int_equal(listener_restore(listener, 0), i == 0 ? 1 : -ESHUTDOWN);
        assert_int_equal(events(epoll), 0);
        if (i == 0) {
            assert_int_equal(shutdown(worker, SHUT_RDWR), 0);
            assert_int_equal(events(epoll), 1);
            assert_int_equal(listener_restore(listener, 0), 1);
        }
        /* The worker has it still, but we are not told any more. */
        (void)listener_unref(listener);
        (void)shutdown(worker, SHUT_RDWR);
        assert_int_equal(events(epoll), 0);
        (void)close(client);
        (void)close(worker);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backlog),           cmocka_unit_test(test_shut_down),
        cmocka_unit_test(test_taken_meanwhile),   cmocka_unit_test(test_unix_is_lost),
        cmocka_unit_test(test_udp_is_left_alone), cmocka_unit_test(test_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
