/* test-client-listeners.c - listeners that come over the channel: the test plays the master, and some that mean no good. */
#include "client/reloader.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SOON  10
#define NEVER 60000

struct fixture {
    struct reloader *reloader;
    int master;
    int sockets[3]; /* what is handed over */
    unsigned fds;   /* how many were open at the start */
};

static unsigned count_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void set_number(const char *name, long value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%ld", value);
    assert_int_equal(setenv(name, text, 1), 0);
}

static void clear_environment(void)
{
    assert_int_equal(unsetenv("RELOADER_CHANNEL_FD") | unsetenv("RELOADER_LISTENERS") |
                         unsetenv("SERVER_STARTER_PORT"),
                     0);
}

/* A worker to which so many are promised. */
static struct reloader *make(struct fixture *f, long promised)
{
    int pair[2];
    f->reloader = reloader_free(f->reloader);
    f->master = fd_close(f->master);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->master = pair[0];
    set_number("RELOADER_CHANNEL_FD", pair[1]);
    set_number("RELOADER_LISTENERS", promised);
    assert_int_equal(reloader_new(0, &f->reloader), 0);
    f->fds = count_fds();
    return f->reloader;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.master = -1};
    clear_environment();
    for (size_t i = 0; i < ARRAY_SIZE(fixture.sockets); i++) {
        fixture.sockets[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fixture.sockets[i] >= 0);
    }
    *state = &fixture;
    return 0;
}

static void close_listeners(struct fixture *f, size_t first)
{
    for (size_t i = first; i < reloader_listener_count(f->reloader); i++)
        (void)fd_close(reloader_listener(f->reloader, i));
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->reloader)
        close_listeners(f, 0);
    f->reloader = reloader_free(f->reloader);
    f->master = fd_close(f->master);
    for (size_t i = 0; i < ARRAY_SIZE(f->sockets); i++)
        (void)fd_close(f->sockets[i]);
    clear_environment();
    return 0;
}

static void tell(const struct fixture *f, const char *text)
{
    assert_int_equal(send(f->master, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hand_over(const struct fixture *f, const char *text, const int *fds, size_t n)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 253)];
    } control = {0};
    struct iovec vector = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS,
                                      .cmsg_len = CMSG_LEN(sizeof(int) * n)};
    memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n);
    assert_int_equal(sendmsg(f->master, &message, MSG_NOSIGNAL), strlen(text));
}

#define LISTENERS(names) "{\"reloader\":\"listeners\",\"names\":[" names "]}\n"

static void expect_listeners(struct reloader *reloader, size_t more)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), 1);
    assert_int_equal(event.type, RELOADER_LISTENERS);
    assert_int_equal(event.length, more);
    assert_null(event.message);
}

static void expect_message(struct reloader *reloader, const char *text)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), 1);
    assert_int_equal(event.type, RELOADER_MESSAGE);
    assert_string_equal(event.message, text);
}

static void expect_result(struct reloader *reloader, int result)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), result);
}

/* The same open socket: an option that is set through one is seen through the other. */
static void assert_same_socket(int one, int other)
{
    int size = 0;
    socklen_t length = sizeof(size);
    static int number = 3000;
    number += 500;
    assert_int_equal(setsockopt(one, SOL_SOCKET, SO_RCVBUF, &number, sizeof(number)), 0);
    assert_int_equal(getsockopt(other, SOL_SOCKET, SO_RCVBUF, &size, &length), 0);
    assert_int_equal(size, 2 * number);
}

static void waiting(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 2);
    assert_int_equal(reloader_listener_count(reloader), 0);
    assert_int_equal(reloader_listeners_awaited(reloader), 2);
    hand_over(f, LISTENERS("\"web\",\"web-2.x\""), f->sockets, 2);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), 0);
    assert_int_equal(reloader_listeners_awaited(reloader), 0);
    assert_int_equal(reloader_listener_count(reloader), 2);
    assert_string_equal(reloader_listener_name(reloader, 0), "web");
    assert_string_equal(reloader_listener_name(reloader, 1), "web-2.x");
    for (size_t i = 0; i < 2; i++) {
        int fd = reloader_listener(reloader, i);
        assert_same_socket(f->sockets[i], fd);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    }
    assert_int_equal(reloader_listener_by_name(reloader, "web-2.x"),
                     reloader_listener(reloader, 1));
    expect_result(reloader, 0);
    assert_int_equal(reloader_wait_listeners(reloader, 0), 0);
}

static void as_events(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 3);
    tell(f, "1\n");
    hand_over(f, LISTENERS("\"a\",\"b\""), f->sockets, 2);
    tell(f, "2\n");
    hand_over(f, LISTENERS("\"c\""), f->sockets + 2, 1);
    expect_message(reloader, "1");
    assert_int_equal(reloader_listener_count(reloader), 0);
    expect_listeners(reloader, 2);
    assert_int_equal(reloader_listener_count(reloader), 2);
    expect_message(reloader, "2");
    assert_int_equal(reloader_listeners_awaited(reloader), 1);
    expect_listeners(reloader, 1);
    expect_result(reloader, 0);
    for (size_t i = 0; i < 3; i++)
        assert_same_socket(f->sockets[i], reloader_listener(reloader, i));
}

/* Nobody promised them: a running worker is given one more. */
static void later(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 0);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), 0);
    hand_over(f, LISTENERS("\"new\""), f->sockets, 1);
    expect_listeners(reloader, 1);
    assert_int_equal(reloader_listeners_awaited(reloader), 0);
    assert_same_socket(f->sockets[0], reloader_listener_by_name(reloader, "new"));
}

/* Fds arrive with the first byte of a line whose end may come much later, behind other lines' beginnings. */
static void in_pieces(void **state)
{
    static const char text[] = LISTENERS("\"one\",\"two\"");
    struct fixture *f = *state;
    for (size_t cut = 1; cut < strlen(text); cut++) {
        struct reloader *reloader = make(f, 2);
        char head[128] = "";
        memcpy(head, text, cut);
        tell(f, "\"before\"\n");
        hand_over(f, head, f->sockets, 2);
        if (cut % 2) {
            expect_message(reloader, "\"before\"");
            expect_result(reloader, 0);
        }
        tell(f, text + cut);
        tell(f, "\"behind\"\n");
        if (cut % 2 == 0)
            expect_message(reloader, "\"before\"");
        expect_listeners(reloader, 2);
        expect_message(reloader, "\"behind\"");
        assert_same_socket(f->sockets[1], reloader_listener_by_name(reloader, "two"));
        close_listeners(f, 0);
    }
}

/* A line of its greatest length, which no single read takes: the fds are those of its beginning. */
static void long_names(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 253);
    char text[32768] = "{\"reloader\":\"listeners\",\"names\":[";
    int fds[253];
    for (int i = 0; i < 253; i++) {
        char name[80];
        (void)snprintf(name, sizeof(name), "%s\"%064d\"", i > 0 ? "," : "", i);
        strcat(text, name);
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
    }
    strcat(text, "]}\n");
    hand_over(f, text, fds, 253);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), 0);
    assert_int_equal(reloader_listener_count(reloader), 253);
    assert_same_socket(fds[252], reloader_listener(reloader, 252));
    for (int i = 0; i < 253; i++)
        (void)fd_close(fds[i]);
}

static void unexpected_fds(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 0);
    hand_over(f, "\"graceful_shutdown\"\n", f->sockets, 3);
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), 1);
    assert_int_equal(event.type, RELOADER_GRACEFUL_SHUTDOWN);
    hand_over(f, "{\"reloader\":\"news\"}\n\n7\n", f->sockets, 2);
    expect_message(reloader, "7");
    expect_result(reloader, 0);
    assert_int_equal(count_fds(), f->fds);
    /* A line that never ends: they are held with it, until more come or the library goes. */
    hand_over(f, "\"half", f->sockets, 2);
    expect_result(reloader, 0);
    hand_over(f, "a line", f->sockets, 1);
    expect_result(reloader, 0);
    assert_int_equal(count_fds(), f->fds + 1);
    f->reloader = reloader_free(reloader);
    assert_int_equal(count_fds(), f->fds - 2); /* the epoll and the channel */
}

/* Fds of an earlier line are not those of the line that names listeners. */
static void wrong_numbers(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 1);
    hand_over(f, LISTENERS("\"a\",\"b\""), f->sockets, 1);
    expect_result(reloader, -EBADMSG);
    hand_over(f, LISTENERS("\"a\""), f->sockets, 2);
    expect_result(reloader, -EBADMSG);
    tell(f, LISTENERS("\"a\""));
    expect_result(reloader, -EBADMSG);
    hand_over(f, "\"x\"\n", f->sockets, 1);
    tell(f, LISTENERS("\"a\""));
    expect_message(reloader, "\"x\"");
    expect_result(reloader, -EBADMSG);
    tell(f, LISTENERS(""));
    expect_result(reloader, 0);
    assert_int_equal(count_fds(), f->fds);
    assert_int_equal(reloader_listener_count(reloader), 0);
    hand_over(f, LISTENERS("\"a\""), f->sockets, 1);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), 0);
}

static void too_many_open_files(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 3);
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    few = (struct rlimit){.rlim_cur = (rlim_t)next + 2, .rlim_max = before.rlim_max};
    (void)fd_close(next);
    hand_over(f, LISTENERS("\"a\",\"b\",\"c\""), f->sockets, 3);
    tell(f, "\"next\"\n");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(count_fds(), f->fds);
    assert_int_equal(reloader_listener_count(reloader), 0);
    expect_message(reloader, "\"next\"");
}

static void what_is_known_already(void **state)
{
    struct fixture *f = *state;
    char port[64];
    (void)snprintf(port, sizeof(port), "8080=%d", f->sockets[0]);
    assert_int_equal(setenv("SERVER_STARTER_PORT", port, 1), 0);
    struct reloader *reloader = make(f, 2);
    hand_over(f, LISTENERS("\"a\""), f->sockets, 1);
    hand_over(f, LISTENERS("\"b\""), f->sockets + 1, 1);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), 0);
    assert_int_equal(reloader_listener_count(reloader), 2);
    assert_int_equal(count_fds(), f->fds + 1);
    hand_over(f, LISTENERS("\"b\",\"c\""), f->sockets + 1, 2);
    expect_listeners(reloader, 1);
    assert_string_equal(reloader_listener_name(reloader, 2), "c");
    close_listeners(f, 1);
    f->reloader = reloader_free(reloader);
}

static void something_else_first(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 1);
    tell(f, "\"early\"\n");
    hand_over(f, LISTENERS("\"a\""), f->sockets, 1);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), -EPROTO);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), -EPROTO);
    expect_message(reloader, "\"early\"");
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), 0);
    expect_result(reloader, 0);
}

static void nothing_comes(void **state)
{
    struct fixture *f = *state;
    struct reloader *reloader = make(f, 1);
    assert_int_equal(reloader_wait_listeners(reloader, SOON), -ETIMEDOUT);
    f->master = fd_close(f->master);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), -ECONNRESET);
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), 1);
    assert_int_equal(event.type, RELOADER_MASTER_GONE);
    assert_int_equal(reloader_wait_listeners(reloader, NEVER), -ECONNRESET);
}

/* A descendant has the variables, but no channel; and a program may be started by hand. */
static void no_channel(void **state)
{
    struct fixture *f = *state;
    set_number("RELOADER_CHANNEL_FD", 1000);
    set_number("RELOADER_LISTENERS", 5);
    assert_int_equal(reloader_new(RELOADER_UNSET_ENVIRONMENT, &f->reloader), 0);
    assert_null(getenv("RELOADER_LISTENERS"));
    assert_int_equal(reloader_listeners_awaited(f->reloader), 0);
    assert_int_equal(reloader_wait_listeners(f->reloader, NEVER), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(waiting),
        TEST(as_events),
        TEST(later),
        TEST(in_pieces),
        TEST(long_names),
        TEST(unexpected_fds),
        TEST(wrong_numbers),
        TEST(too_many_open_files),
        TEST(what_is_known_already),
        TEST(something_else_first),
        TEST(nothing_comes),
        TEST(no_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
