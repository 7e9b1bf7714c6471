/* Options of sockets as the kernel gives them back, what connections inherit, and what is said where it refuses. */
#include "net/listener.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

/* The kernel chooses the port, which parsing does not allow. */
static struct address any_port(const char *text)
{
    struct address address;
    const char *reason;
    assert_int_equal(address_parse(text, &address, &reason), 0);
    address.socket.in.sin_port = 0;
    return address;
}

static struct listener *open_one(const char *text, const struct listener_options *options)
{
    struct address address = any_port(text);
    struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;
    int r = listener_new("web", &address, 1, options, &listener, &error);
    if (r < 0)
        fail_msg("%s: %d: %s", text, r, error ? error : "no text");
    return listener;
}

static int get(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof(value);
    assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

static const struct listener_options tcp_options = {
    .settings = {.nodelay = true,
                 .keepalive = true,
                 .defer_accept_usec = 2500000,
                 .fastopen = 17,
                 .receive_buffer = 100000,
                 .send_buffer = 50000},
};

static void assert_tcp(int fd)
{
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get(fd, SOL_SOCKET, SO_RCVBUF), 2 * 100000);
    assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), 2 * 50000);
}

static void test_tcp(void **state UNUSED)
{
    static const char *const addresses[] = {"127.0.0.1:1", "[::1]:1"};
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        CLEANUP(listener_unrefp) struct listener *listener = open_one(addresses[i], &tcp_options);
        int fd = listener_fd(listener, 0);
        assert_tcp(fd);
        /* Seconds are rounded up, and the kernel counts in retransmissions: 1, 3, 7 … */
        assert_int_equal(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 3);
        assert_int_equal(get(fd, IPPROTO_TCP, TCP_FASTOPEN), 17);
        assert_null(listener->sockets[0]->warning);
    }
}

static void test_connections_inherit(void **state UNUSED)
{
    CLEANUP(listener_unrefp) struct listener *listener = open_one("127.0.0.1:1", &tcp_options);
    struct address address;
    assert_int_equal(address_of_socket(listener_fd(listener, 0), &address), 0);
    CLEANUP_FD int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, &address.socket.generic, address.length), 0);
    assert_int_equal(write(client, "x", 1), 1);
    CLEANUP_FD int accepted = accept4(listener_fd(listener, 0), NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    assert_tcp(accepted);
}

static void test_nothing_unasked(void **state UNUSED)
{
    static const struct listener_options defaults;
    CLEANUP(listener_unrefp) struct listener *listener = open_one("127.0.0.1:1", &defaults);
    CLEANUP_FD int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = listener_fd(listener, 0);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_RCVBUF), get(plain, SOL_SOCKET, SO_RCVBUF));
    assert_int_equal(get(fd, SOL_SOCKET, SO_SNDBUF), get(plain, SOL_SOCKET, SO_SNDBUF));
}

/* Never SO_REUSEADDR: two masters would share the port, each with a part of the datagrams. */
static void test_udp(void **state UNUSED)
{
    static const struct listener_options options = {.nonblocking = true,
                                                    .settings = {.receive_buffer = 100000}};
    CLEANUP(listener_unrefp) struct listener *listener = open_one("udp:127.0.0.1:1", &options);
    int fd = listener_fd(listener, 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEADDR), 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_REUSEPORT), 0);
    assert_int_equal(get(fd, SOL_SOCKET, SO_RCVBUF), 2 * 100000);

    struct listener *second = NULL;
    struct address address;
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(address_of_socket(fd, &address), 0);
    assert_true(address.datagram);
    assert_int_equal(listener_new("web", &address, 1, &options, &second, &error), -EADDRINUSE);
    CLEANUP_FREE char *own = string_format("address in use by test-socket-opt (pid %d)",
                                           (int)getpid());
    assert_non_null(strstr(error, own));

    unsigned queue, size;
    assert_int_equal(listener_queue(listener->sockets[0], &queue, &size), 0);
    assert_int_equal(queue, 0);
    assert_int_equal(size, 2 * 100000);
    CLEANUP_FD int client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(sendto(client, "hello", 5, 0, &address.socket.generic, address.length), 5);
    assert_int_equal(listener_queue(listener->sockets[0], &queue, &size), 0);
    assert_true(queue >= 5);

    unsigned drops = 4711;
    char datagram[1000] = "";
    assert_int_equal(listener_drops(listener->sockets[0], &drops), 0);
    assert_int_equal(drops, 0);
    /* More than its buffer can hold. */
    for (int i = 0; i < 1000; i++)
        (void)sendto(client, datagram, sizeof(datagram), 0, &address.socket.generic, address.length);
    assert_int_equal(listener_drops(listener->sockets[0], &drops), 0);
    assert_true(drops > 0 && drops < 1000);
}

static void test_with_rights(void **state UNUSED)
{
    static const struct listener_options options = {
        .settings = {.freebind = true, .transparent = true, .device = "lo", .mark = 42}};
    static const char *const addresses[] = {"192.0.2.1:1", "[2001:db8::1]:1", "udp:192.0.2.1:1",
                                            "udp:[2001:db8::1]:1"};
    if (geteuid() != 0) {
        print_message("mark and transparent need root\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        CLEANUP(listener_unrefp) struct listener *listener = open_one(addresses[i], &options);
        int fd = listener_fd(listener, 0);
        bool ipv6 = listener->sockets[0]->address.socket.generic.sa_family == AF_INET6;
        char device[CONFIG_INTERFACE_SIZE] = "";
        socklen_t size = sizeof(device);
        assert_int_equal(get(fd, SOL_SOCKET, SO_MARK), 42);
        assert_int_equal(get(fd, IPPROTO_IP, IP_FREEBIND), 1);
        assert_int_equal(ipv6 ? get(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)
                              : get(fd, IPPROTO_IP, IP_TRANSPARENT),
                         1);
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size), 0);
        assert_string_equal(device, "lo");
    }
}

/* 0, or the number of what was wrong: in a process that has given up its rights. */
static int set_without_rights(void)
{
    struct listener_options mark = {.settings = {.mark = 42}};
    struct listener_options large = {.settings = {.receive_buffer = 1023 << 20}};
    struct address address = any_port("127.0.0.1:1");
    struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL, *none = NULL;
    if (geteuid() == 0 &&
        (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
        return 1;
    if (listener_new("web", &address, 1, &mark, &listener, &error) != -EPERM)
        return 2;
    if (!error || strcmp(error, "sockets.web.options.mark cannot be set: Operation not permitted: "
                                "it needs root or CAP_NET_ADMIN") != 0)
        return 3;
    if (listener_new("web", &address, 1, &large, &listener, &none) != 0)
        return 4;
    const char *warning = listener->sockets[0]->warning;
    bool right = warning &&
                 strstr(warning, "sockets.web.options.receive_buffer: the system gives ") &&
                 strstr(warning, " bytes instead of 1072693248: raise net.core.rmem_max");
    (void)listener_unref(listener);
    return right ? 0 : 5;
}

static void test_without_rights(void **state UNUSED)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(set_without_rights());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_refused(void **state UNUSED)
{
    static const struct listener_options options = {.settings = {.device = "no-such-device"}};
    struct address address = any_port("127.0.0.1:1");
    struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(listener_new("web", &address, 1, &options, &listener, &error), -ENODEV);
    assert_string_equal(error, "sockets.web.options.device cannot be set: No such device: there is "
                               "no such network interface");
    assert_null(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),         cmocka_unit_test(test_connections_inherit),
        cmocka_unit_test(test_udp),         cmocka_unit_test(test_nothing_unasked),
        cmocka_unit_test(test_with_rights), cmocka_unit_test(test_without_rights),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
