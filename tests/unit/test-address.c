/* What people write as an address, how it comes out again, and which remedy each mistake gets. */
#include "base/address.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_forms(void **state)
{
    static const struct {
        const char *text, *canonical, *starter_key;
        int family;
    } cases[] = {
        {"8080", "0.0.0.0:8080", "8080", AF_INET},
        {"*:8080", "0.0.0.0:8080", "8080", AF_INET},
        {"0.0.0.0:8080", "0.0.0.0:8080", "0.0.0.0:8080", AF_INET},
        {"127.0.0.1:81", "127.0.0.1:81", "127.0.0.1:81", AF_INET},
        {"localhost:81", "127.0.0.1:81", "127.0.0.1:81", AF_INET},
        {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255:65535", AF_INET},
        {"[::1]:82", "[::1]:82", "[::1]:82", AF_INET6},
        {"[::]:8080", "[::]:8080", "[::]:8080", AF_INET6},
        {"[2001:DB8::0:1]:1", "[2001:db8::1]:1", "[2001:db8::1]:1", AF_INET6},
        {"[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1", AF_INET6},
        {"udp:53", "udp:0.0.0.0:53", "53", AF_INET},
        {"udp:*:53", "udp:0.0.0.0:53", "53", AF_INET},
        {"udp:127.0.0.1:53", "udp:127.0.0.1:53", "127.0.0.1:53", AF_INET},
        {"udp:[::1]:53", "udp:[::1]:53", "[::1]:53", AF_INET6},
        {"unix:/a.sock", "unix:/a.sock", "/a.sock", AF_UNIX},
        {"unix:@name", "unix:@name", "@name", AF_UNIX},
        {"unix:@a/b@c", "unix:@a/b@c", "@a/b@c", AF_UNIX},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct address address;
        const char *reason = NULL;
        assert_int_equal(address_parse(cases[i].text, &address, &reason), 0);
        assert_null(reason);
        assert_int_equal(address.socket.generic.sa_family, cases[i].family);
        CLEANUP_FREE char *canonical = address_to_text(&address);
        assert_string_equal(canonical, cases[i].canonical);
        CLEANUP_FREE char *key = address_to_starter_key(&address);
        assert_string_equal(key, cases[i].starter_key);

        struct address again;
        assert_int_equal(address_parse(canonical, &again, &reason), 0);
        assert_true(address_equal(&address, &again));
    }
    (void)state;
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "is empty"},
        {"0", "port 0"},
        {"127.0.0.1:0", "port 0"},
        {"65536", "from 1 to 65535"},
        {"99999999999999999999", "from 1 to 65535"},
        {"127.0.0.1:80x", "from 1 to 65535"},
        {"127.0.0.1:-1", "from 1 to 65535"},
        {"127.0.0.1:+1", "from 1 to 65535"},
        {"127.0.0.1: 1", "from 1 to 65535"},
        {"127.0.0.1:", "port is missing"},
        {"127.0.0.1", "port is missing"},
        {"localhost", "port is missing"},
        {"[::1]", "port is missing"},
        {"[::1]:", "port is missing"},
        {"[::1]80", "port is missing"},
        {"[::1]:0", "port 0"},
        {"[::1", "closing ]"},
        {"[127.0.0.1]:80", "no IPv6 address"},
        {"[]:80", "no IPv6 address"},
        {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:80", "no IPv6 address"},
        {"[fe80::1%eth0]:80", "zones"},
        {"::1:8080", "brackets"},
        {"fe80:::80", "brackets"},
        {":8080", "host is missing"},
        {"256.0.0.1:80", "four numbers"},
        {"1.2.3:80", "four numbers"},
        {"010.0.0.1:80", "four numbers"},
        {"example.com:80", "not resolved"},
        {"http:80", "not resolved"},
        {"http://127.0.0.1:80", "scheme"},
        {"nonsense", "expected PORT"},
        {"-80", "expected PORT"},
        {"/run/a.sock", "unix:"},
        {"@name", "unix:"},
        {"udp:", "port is missing"},
        {"udp:/run/a.sock", "UDP has no paths"},
        {"udp:unix:/run/a.sock", "UDP has no paths"},
        {"udp:example.com:53", "not resolved"},
        {"udp:udp:53", "not resolved"},
        {"udp:[::1]", "port is missing"},
        {"fd:3", "no address"},
        {"unix:", "must begin with /"},
        {"unix:a.sock", "must begin with /"},
        {"unix:/", "missing"},
        {"unix:@", "missing"},
        {"unix:/run/", "end with /"},
        {"unix:/a\nb", "control characters"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct address address = {.length = 4711};
        const char *reason = NULL;
        assert_int_equal(address_parse(cases[i].text, &address, &reason), -EINVAL);
        assert_int_equal(address.length, 4711);
        if (!reason || !strstr(reason, cases[i].reason))
            fail_msg("'%s' was refused with '%s'", cases[i].text, reason ? reason : "no reason");
    }
    (void)state;
}

static void test_long_names(void **state)
{
    char text[400];
    struct address address;
    const char *reason;

    for (int kind = 0; kind < 2; kind++)
        for (size_t length = 106; length <= 109; length++) {
            memset(text, 'a', sizeof(text));
            memcpy(text, kind ? "unix:@" : "unix:/", 6);
            text[5 + length] = '\0';
            assert_int_equal(address_parse(text, &address, &reason), length <= 107 ? 0 : -EINVAL);
            if (length > 107)
                continue;
            CLEANUP_FREE char *again = address_to_text(&address);
            assert_string_equal(again, text);
        }
    memset(text, 'a', sizeof(text));
    memcpy(text + sizeof(text) - 4, ":80", 4);
    assert_int_equal(address_parse(text, &address, &reason), -EINVAL);
    (void)state;
}

static void test_unix_path(void **state)
{
    struct address address;
    const char *reason;

    assert_int_equal(address_parse("unix:/run/x", &address, &reason), 0);
    assert_string_equal(address_unix_path(&address), "/run/x");
    assert_int_equal(address_parse("unix:@x", &address, &reason), 0);
    assert_null(address_unix_path(&address));
    assert_int_equal(address_parse("80", &address, &reason), 0);
    assert_null(address_unix_path(&address));
    (void)state;
}

static void test_unequal(void **state)
{
    static const char *const texts[] = {
        "127.0.0.1:80", "127.0.0.1:81", "127.0.0.2:80", "[::1]:80",  "[::1]:81",
        "[::2]:80",     "unix:/a",      "unix:/b",      "unix:/aa",  "unix:@a",
        "unix:@aa",     "0.0.0.0:80",   "[::]:80",      "unix:@a/b", "udp:127.0.0.1:80",
        "udp:[::1]:80", "udp:80",
    };
    struct address addresses[ARRAY_SIZE(texts)];
    const char *reason;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(address_parse(texts[i], &addresses[i], &reason), 0);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        for (size_t j = 0; j < ARRAY_SIZE(texts); j++)
            assert_int_equal(address_equal(&addresses[i], &addresses[j]), i == j);
    (void)state;
}

static void test_of_socket(void **state)
{
    struct address wanted, found;
    const char *reason;
    char text[64];

    (void)snprintf(text, sizeof(text), "unix:@test-address-%d", (int)getpid());
    assert_int_equal(address_parse(text, &wanted, &reason), 0);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &wanted.socket.generic, wanted.length), 0);
    assert_int_equal(address_of_socket(fd, &found), 0);
    assert_true(address_equal(&wanted, &found));

    CLEANUP_FD int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(tcp, (struct sockaddr *)&any, sizeof(any)), 0);
    assert_int_equal(address_of_socket(tcp, &found), 0);
    assert_int_equal(found.length, sizeof(struct sockaddr_in));
    assert_int_not_equal(found.socket.in.sin_port, 0);

    CLEANUP_FD int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    assert_int_equal(address_of_socket(netlink, &found), -EAFNOSUPPORT);
    assert_int_equal(address_of_socket(-1, &found), -EBADF);
    (void)state;
}

/* Sockets that others bound may have names that we never make. */
static void test_of_foreign_socket(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct address found;

    CLEANUP_FD int unnamed = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(address_of_socket(unnamed, &found), 0);
    CLEANUP_FREE char *no_name = address_to_text(&found);
    assert_string_equal(no_name, "unix:");
    assert_null(address_unix_path(&found));

    CLEANUP_FD int padded = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "padded-%d", (int)getpid());
    assert_int_equal(bind(padded, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(address_of_socket(padded, &found), 0);
    CLEANUP_FREE char *text = address_to_text(&found);
    assert_int_equal(strlen(text), strlen("unix:") + sizeof(un.sun_path));

    CLEANUP_FD int full = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(un.sun_path, '/', sizeof(un.sun_path));
    memcpy(un.sun_path, "/tmp", 4);
    (void)snprintf(un.sun_path + sizeof(un.sun_path) - 16, 16, "%015d", (int)getpid());
    un.sun_path[sizeof(un.sun_path) - 1] = 'x';
    char path[sizeof(un.sun_path) + 1] = "";
    memcpy(path, un.sun_path, sizeof(un.sun_path));
    assert_int_equal(bind(full, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(address_of_socket(full, &found), -ENAMETOOLONG);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_unix_path),
        cmocka_unit_test(test_unequal),
        cmocka_unit_test(test_of_socket),
        cmocka_unit_test(test_of_foreign_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
