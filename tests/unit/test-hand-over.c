/* hand-over.c over a real channel: which lines, with how many descriptors each. */
#include "base/fd.h"
#include "base/log.h"
#include "worker/hand-over.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define SOCKETS_MAX 1000

struct fixture {
    sd_event *event;
    struct channel *channel;
    int fd; /* the worker's end */
};

static const struct channel_ops ops;

static int set_up(void **state)
{
    static struct fixture fixture;
    assert_int_equal(sd_event_new(&fixture.event), 0);
    assert_int_equal(
        channel_new(fixture.event, "test/0", &ops, NULL, &fixture.channel, &fixture.fd), 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fixture->channel = channel_free(fixture->channel);
    fixture->fd = fd_close(fixture->fd);
    fixture->event = sd_event_unref(fixture->event);
    return 0;
}

/* n sockets called "s", all the same. */
static int hand_over(struct fixture *fixture, size_t n, const char *name, int fd, char **ret_error)
{
    struct listener_socket socket = {.fd = fd};
    struct listener_socket *sockets[] = {&socket};
    struct listener listener = {.n_sockets = 1, .sockets = sockets};
    struct config_socket config = {.name = (char *)(uintptr_t)name};
    struct listener *listeners[SOCKETS_MAX];
    struct config_socket *configs[SOCKETS_MAX];
    for (size_t i = 0; i < n; i++) {
        listeners[i] = &listener;
        configs[i] = &config;
    }
    const struct config_program program = {.sockets = configs, .n_sockets = n};
    const struct generation generation = {.program = &program, .listeners = listeners};
    return hand_over_listeners(fixture->channel, &generation, 0, 0, ret_error);
}

static void expect_line(struct fixture *fixture, size_t n)
{
    static char data[65536];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    } control;
    struct iovec vector = {.iov_base = data, .iov_len = sizeof(data) - 1};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t size = recvmsg(fixture->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    assert_true(size > 0 && data[size - 1] == '\n');
    data[size] = '\0';
    static const char begin[] = "{\"reloader\":\"listeners\",\"names\":[\"s\"";
    assert_memory_equal(data, begin, strlen(begin));
    size_t names = 0;
    for (const char *at = data; (at = strstr(at, "\"s\"")); at++)
        names++;
    assert_int_equal(names, n);
    assert_int_equal(fd_close_received(&message), n);
}

static void expect_nothing(struct fixture *fixture)
{
    char byte;
    assert_int_equal(recv(fixture->fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_lines(void **state)
{
    struct fixture *fixture = *state;
    char *error = NULL;
    static const size_t counts[] = {1, 253, 254, 600};
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        assert_int_equal(hand_over(fixture, counts[i], "s", 0, &error), 0);
        for (size_t left = counts[i]; left > 0; left -= MIN(left, (size_t)253))
            expect_line(fixture, MIN(left, (size_t)253));
        expect_nothing(fixture);
    }
    assert_null(error);
}

static void test_what_does_not_fit(void **state)
{
    struct fixture *fixture = *state;
    static char name[1000];
    char *error = NULL;
    memset(name, 'x', sizeof(name) - 1);
    assert_int_equal(hand_over(fixture, 100, name, 0, &error), -ENOBUFS);
    assert_string_equal(error,
                        "cannot hand over its sockets (scm-rights): No buffer space available");
    free(error);
    error = NULL;
    expect_nothing(fixture);
    assert_int_equal(hand_over(fixture, 1, "s", -1, &error), -EBADF);
    assert_string_equal(error, "cannot hand over its sockets (scm-rights): Bad file descriptor");
    free(error);
    expect_nothing(fixture);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
