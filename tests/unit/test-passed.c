/*
 * test-passed.c - which passed socket is whose, as a table; and what is taken in at all.
 */
#include "base/fd.h"
#include "net/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ENTRIES_MAX 4

struct offer {
    const char *name, *address;
    bool dual_stack, datagram;
};

struct wish {
    const char *name, *address;
    int number; /* 0: none */
    bool address_only, datagram;
    int expected; /* the offer's place, counted from 1; 0: none */
    bool elsewhere;
};

static const struct {
    const char *what;
    struct offer offers[ENTRIES_MAX];
    struct wish wishes[ENTRIES_MAX];
} table[] = {
    {"by name", {{.name = "web", "0.0.0.0:80"}}, {{.name = "web", "0.0.0.0:80", .expected = 1}}},
    {"by name, whatever the address",
     {{.name = "web", "127.0.0.1:81"}},
     {{.name = "web", "0.0.0.0:80", .expected = 1, .elsewhere = true}}},
    {"by name, even of another family",
     {{.name = "web", "unix:/run/web"}},
     {{.name = "web", "8080", .expected = 1, .elsewhere = true}}},
    {"by address, whatever the name",
     {{.name = "x.socket", "127.0.0.1:81"}},
     {{.name = "web", "127.0.0.1:81", .expected = 1}}},
    {"the name comes before the address",
     {{.name = "b", "127.0.0.1:1"}, {.name = "a", "127.0.0.1:2"}},
     {{.name = "a", "127.0.0.1:1", .expected = 2, .elsewhere = true},
      {.name = "b", "127.0.0.1:2", .expected = 1, .elsewhere = true}}},
    {"several of one name: by address",
     {{.name = "web", "127.0.0.1:1"}, {.name = "web", "127.0.0.1:2"}},
     {{.name = "web", "127.0.0.1:2", .expected = 2},
      {.name = "other", "127.0.0.1:1", .expected = 1}}},
    {"several of one name, none of that address",
     {{.name = "web", "127.0.0.1:1"}, {.name = "web", "127.0.0.1:2"}},
     {{.name = "web", "127.0.0.1:3"}}},
    {"neither name nor address", {{.name = "x", "127.0.0.1:1"}}, {{.name = "web", "127.0.0.1:2"}}},
    {"another port", {{.name = "x", "0.0.0.0:80"}}, {{.name = "web", "0.0.0.0:81"}}},
    {"another host", {{.name = "x", "127.0.0.1:80"}}, {{.name = "web", "0.0.0.0:80"}}},
    {"a path",
     {{.name = "x", "unix:/a"}, {.name = "x", "unix:/b"}},
     {{.name = "web", "unix:/b", .expected = 2}}},
    {"an abstract name", {{.name = "x", "unix:@a"}}, {{.name = "web", "unix:@a", .expected = 1}}},
    {"a path is no abstract name", {{.name = "x", "unix:/a"}}, {{.name = "web", "unix:@/a"}}},
    {"a dual-stack socket serves a port",
     {{.name = "x", "[::]:80", true}},
     {{.name = "web", "80", .expected = 1}}},
    {"its name too, and that is as wished",
     {{.name = "web", "[::]:80", true}},
     {{.name = "web", "80", .expected = 1}}},
    {"an IPv6-only one does not", {{.name = "x", "[::]:80"}}, {{.name = "web", "80"}}},
    {"nor one of a single address", {{.name = "x", "[::1]:80", true}}, {{.name = "web", "80"}}},
    {"nor does it serve just 127.0.0.1",
     {{.name = "x", "[::]:80", true}},
     {{.name = "web", "127.0.0.1:80"}}},
    {"exactly what is wished comes first",
     {{.name = "x", "[::]:80", true}, {.name = "x", "0.0.0.0:80"}},
     {{.name = "web", "80", .expected = 2}, {.name = "six", "[::]:80", .expected = 1}}},
    {"a slot by address alone",
     {{.name = "web", "127.0.0.1:2"}},
     {{.name = "web", "127.0.0.1:1", .address_only = true},
      {.name = "web", "127.0.0.1:2", .address_only = true, .expected = 1}}},
    {"given once",
     {{.name = "web", "127.0.0.1:1"}},
     {{.name = "web", "127.0.0.1:1", .expected = 1}, {.name = "b", "127.0.0.1:1"}}},
    {"never of another type",
     {{.name = "web", "127.0.0.1:1", .datagram = true}},
     {{.name = "web", "127.0.0.1:1"},
      {.name = "dns", "127.0.0.1:1", .datagram = true, .expected = 1}}},
    {"by number before all else",
     {{.name = "web", "127.0.0.1:1"}, {.name = "b", "127.0.0.1:2"}},
     {{.name = "web", "127.0.0.1:1"}, {"c", .number = 3, .expected = 1}}},
};

static struct address address(const char *text)
{
    struct address parsed = {0};
    const char *reason;
    if (text)
        assert_int_equal(address_parse(text, &parsed, &reason), 0);
    return parsed;
}

static void match_one(size_t row)
{
    struct passed_socket sockets[ENTRIES_MAX];
    struct passed_wish wishes[ENTRIES_MAX];
    struct passed_sockets passed = {.list = sockets};
    size_t n = 0;
    for (const struct offer *o = table[row].offers; passed.n < ENTRIES_MAX && o->name; o++) {
        sockets[passed.n] = (struct passed_socket){.number = 3 + (int)passed.n,
                                                   .name = (char *)o->name,
                                                   .address = address(o->address),
                                                   .type = o->datagram ? SOCK_DGRAM : SOCK_STREAM,
                                                   .dual_stack = o->dual_stack};
        passed.n++;
    }
    for (const struct wish *w = table[row].wishes; n < ENTRIES_MAX && w->name; w++)
        wishes[n++] = (struct passed_wish){.name = w->name,
                                           .address = address(w->address),
                                           .type = w->datagram ? SOCK_DGRAM : SOCK_STREAM,
                                           .number = w->number > 0 ? w->number : -1,
                                           .address_only = w->address_only};
    passed_match(wishes, n, &passed);
    for (size_t i = 0; i < n; i++) {
        const struct wish *w = &table[row].wishes[i];
        int given = wishes[i].taken ? (int)(wishes[i].taken - sockets) + 1 : 0;
        if (given != w->expected || wishes[i].elsewhere != w->elsewhere)
            fail_msg("%s: wish %zu got %d", table[row].what, i, given);
    }
}

static void test_matching(void **state UNUSED)
{
    for (size_t row = 0; row < ARRAY_SIZE(table); row++)
        match_one(row);
}

static void test_unclaimed(void **state UNUSED)
{
    struct passed_socket sockets[] = {
        {.number = 3, .name = (char *)"a", .address = address("127.0.0.1:1"), .claimed = true},
        {.number = 4, .name = (char *)"b", .address = address("127.0.0.1:2")},
        {.number = 5, .name = (char *)"c", .address = address("unix:/c")},
    };
    struct passed_sockets passed = {sockets, ARRAY_SIZE(sockets)};
    CLEANUP_FREE char *text = passed_describe_unclaimed(&passed);
    assert_non_null(text);
    assert_null(strstr(text, "'a'"));
    assert_non_null(strstr(text, "'b' (descriptor 4, 127.0.0.1:2), 'c' (descriptor 5, unix:/c)"));
    assert_non_null(strstr(text, "sockets: {b: {listen: \"127.0.0.1:2\"}}"));
    sockets[1].claimed = sockets[2].claimed = true;
    assert_null(passed_describe_unclaimed(&passed));
}

static int make_socket(int family, int type, bool bound, bool listening)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    const struct sockaddr_in inet = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr unnamed = {.sa_family = AF_UNIX};
    assert_true(fd >= 0);
    /* The family alone: the kernel finds a free abstract name. */
    if (bound && family == AF_UNIX)
        assert_int_equal(bind(fd, &unnamed, sizeof(sa_family_t)), 0);
    else if (bound)
        assert_int_equal(bind(fd, (const struct sockaddr *)&inet, sizeof(inet)), 0);
    if (listening)
        assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void expect_refused(int fd, const char *said)
{
    CLEANUP(passed_clear) struct passed_sockets passed = {0};
    CLEANUP_FREE char *reason = NULL;
    assert_int_equal(passed_add(&passed, fd, &reason), -EINVAL);
    assert_non_null(strstr(reason, said));
    assert_int_equal(passed.n, 0);
}

static void test_what_is_taken(void **state UNUSED)
{
    static const struct {
        int family, type;
        bool bound, listening;
        const char *refusal;
    } cases[] = {
        {AF_UNIX, SOCK_STREAM, true, true, NULL},
        {AF_INET, SOCK_STREAM, true, true, NULL},
        {AF_INET, SOCK_STREAM, true, false, "does not listen"},
        {AF_INET, SOCK_DGRAM, true, false, NULL},
        {AF_INET, SOCK_DGRAM, false, false, "not bound"},
        {AF_UNIX, SOCK_DGRAM, true, false, "only UDP"},
        {AF_UNIX, SOCK_SEQPACKET, true, true, "neither a stream nor a datagram socket"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(passed_clear) struct passed_sockets passed = {0};
        CLEANUP_FREE char *reason = NULL;
        int fd = make_socket(cases[i].family, cases[i].type, cases[i].bound, cases[i].listening);
        if (cases[i].refusal) {
            expect_refused(fd, cases[i].refusal);
            (void)fd_close(fd);
            continue;
        }
        assert_int_equal(passed_add(&passed, fd, &reason), 0);
        assert_int_equal(passed_add(&passed, fd, &reason), 0); /* once */
        assert_int_equal(passed.n, 1);
        assert_int_equal(passed.list[0].type, cases[i].type);
    }
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    expect_refused(null_fd, "is no socket");
    expect_refused(9999, "is not open");
}

static void set_variables(const char *pid, const char *fds, const char *names)
{
    (void)setenv("LISTEN_PID", pid, 1);
    (void)setenv("LISTEN_FDS", fds, 1);
    (void)setenv("LISTEN_FDNAMES", names, 1);
}

static void test_from_systemd(void **state UNUSED)
{
    CLEANUP(passed_clear) struct passed_sockets passed = {0};
    CLEANUP_FREE char *error = NULL;
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    int first = make_socket(AF_UNIX, SOCK_STREAM, true, true);
    int second = make_socket(AF_INET, SOCK_DGRAM, true, false);
    assert_int_equal(dup2(first, 3), 3);
    assert_int_equal(dup2(second, 4), 4);
    set_variables("1", "2", "a:b");
    assert_int_equal(passed_from_systemd(&passed, &error), 0);
    assert_int_equal(passed.n, 0);
    set_variables(pid, "2", "a:b");
    assert_int_equal(passed_from_systemd(&passed, &error), 0);
    assert_int_equal(passed.n, 2);
    assert_string_equal(passed.list[1].name, "b");
    assert_int_equal(passed.list[1].fd, 4);
    assert_true(fcntl(4, F_GETFD) & FD_CLOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_systemd), /* first: it needs descriptors 3 and 4 */
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_unclaimed),
        cmocka_unit_test(test_what_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
