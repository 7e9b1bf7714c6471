/* test-client.c - libreloader over a socketpair: the test plays the master. */
#include "client/reloader.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct reloader *reloader;
    int master;
};

static const char *const variables[] = {
    "LISTEN_FDS",          "LISTEN_PID",          "LISTEN_FDNAMES",
    "SERVER_STARTER_PORT", "RELOADER_SLOT",       "RELOADER_PROGRAM",
    "RELOADER_GENERATION", "RELOADER_CHANNEL_FD", "NOTIFY_SOCKET",
};

static void set_number(const char *name, long value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%ld", value);
    assert_int_equal(setenv(name, text, 1), 0);
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static int clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        (void)unsetenv(variables[i]);
    return 0;
}

static int set_up(void **state)
{
    (void)clear(state);
    static struct fixture fixture;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    set_number("RELOADER_CHANNEL_FD", pair[1]);
    fixture.master = pair[0];
    assert_int_equal(reloader_new(0, &fixture.reloader), 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fixture->reloader = reloader_free(fixture->reloader);
    fixture->master = fd_close(fixture->master);
    return clear(state);
}

static void tell(const struct fixture *fixture, const char *text)
{
    assert_int_equal(send(fixture->master, text, strlen(text), MSG_NOSIGNAL),
                     (ssize_t)strlen(text));
}

/* All that the worker has said by now. */
static const char *heard(const struct fixture *fixture)
{
    static char text[8192];
    ssize_t n = recv(fixture->master, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static bool readable(const struct reloader *reloader)
{
    struct pollfd fd = {.fd = reloader_get_fd(reloader), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void expect_message(struct reloader *reloader, const char *text)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), 1);
    assert_int_equal(event.type, RELOADER_MESSAGE);
    assert_string_equal(event.message, text);
    assert_int_equal(event.length, strlen(text));
}

static void expect_event(struct reloader *reloader, enum reloader_event_type type)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), 1);
    assert_int_equal(event.type, type);
    assert_null(event.message);
}

static void expect_nothing(struct reloader *reloader)
{
    struct reloader_event event;
    assert_int_equal(reloader_process(reloader, &event), 0);
}

static void standalone(void **state)
{
    (void)state;
    struct reloader *reloader;
    assert_int_equal(reloader_new(0, &reloader), 0);
    assert_false(reloader_has_master(reloader));
    assert_int_equal(reloader_listener_count(reloader), 0);
    assert_int_equal(reloader_listener(reloader, 0), -ENOENT);
    assert_int_equal(reloader_listener_by_name(reloader, "web"), -ENOENT);
    assert_null(reloader_listener_name(reloader, 0));
    assert_null(reloader_program(reloader));
    assert_int_equal(reloader_slot(reloader), -1);
    assert_int_equal(reloader_generation(reloader), -1);
    assert_int_equal(reloader_hello(reloader), 0);
    assert_int_equal(reloader_ready(reloader), 0);
    assert_int_equal(reloader_status(reloader, "fine"), 0);
    assert_int_equal(reloader_fully_closed(reloader), 0);
    assert_int_equal(reloader_send(reloader, "1"), -ENOTCONN);
    assert_true(reloader_get_fd(reloader) >= 0);
    assert_false(readable(reloader));
    expect_nothing(reloader);
    assert_null(reloader_free(reloader));
    assert_null(reloader_free(NULL));
}

/* Two listening places of the environment: 3 and 4, which a test under meson has free. */
static void occupy(int a, int b)
{
    int null = open("/dev/null", O_RDONLY);
    assert_true(null >= 0);
    if (null != a)
        assert_int_equal(dup2(null, a), a);
    assert_int_equal(dup2(null, b), b);
    if (null != a && null != b)
        close(null);
}

static int new_fails(void)
{
    struct reloader *reloader = NULL;
    int r = reloader_new(0, &reloader);
    assert_null(reloader);
    return r;
}

static void listeners_of_systemd(void **state)
{
    (void)state;
    occupy(3, 4);
    set_number("LISTEN_PID", getpid());
    set("LISTEN_FDS", "2");
    set("LISTEN_FDNAMES", "web:admin");
    set("SERVER_STARTER_PORT", "80=9");
    set("RELOADER_PROGRAM", "echo");
    set("RELOADER_SLOT", "7");
    set("RELOADER_GENERATION", "12");
    struct reloader *reloader;
    assert_int_equal(reloader_new(0, &reloader), 0);
    assert_int_equal(reloader_listener_count(reloader), 2);
    assert_int_equal(reloader_listener(reloader, 1), 4);
    assert_int_equal(reloader_listener_by_name(reloader, "web"), 3);
    assert_int_equal(reloader_listener_by_name(reloader, "we"), -ENOENT);
    assert_string_equal(reloader_listener_name(reloader, 1), "admin");
    assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(4, F_GETFD) & FD_CLOEXEC);
    assert_string_equal(reloader_program(reloader), "echo");
    assert_int_equal(reloader_slot(reloader), 7);
    assert_int_equal(reloader_generation(reloader), 12);
    reloader_free(reloader);
    assert_true(fcntl(3, F_GETFD) >= 0);

    set("LISTEN_FDNAMES", "web");
    assert_int_equal(new_fails(), -EINVAL);
    set("LISTEN_FDNAMES", "web:admin:more");
    assert_int_equal(new_fails(), -EINVAL);
    set("LISTEN_FDS", "4097");
    assert_int_equal(new_fails(), -E2BIG);
    set("LISTEN_FDS", "two");
    assert_int_equal(new_fails(), -EINVAL);
    close(4);
    set("LISTEN_FDS", "2");
    (void)unsetenv("LISTEN_FDNAMES");
    assert_int_equal(new_fails(), -EBADF);
    set("LISTEN_FDS", "1");
    assert_int_equal(reloader_new(0, &reloader), 0);
    assert_string_equal(reloader_listener_name(reloader, 0), "unknown");
    reloader_free(reloader);
    close(3);
}

/* Behind a wrapper that forks, LISTEN_PID is another's. */
static void listeners_of_server_starter(void **state)
{
    (void)state;
    occupy(3, 4);
    set_number("LISTEN_PID", getpid() + 1);
    set("LISTEN_FDS", "2");
    set("SERVER_STARTER_PORT", "[::1]:80=4;/a=b.sock=3");
    struct reloader *reloader;
    assert_int_equal(reloader_new(0, &reloader), 0);
    assert_int_equal(reloader_listener_count(reloader), 2);
    assert_int_equal(reloader_listener_by_name(reloader, "[::1]:80"), 4);
    assert_int_equal(reloader_listener_by_name(reloader, "/a=b.sock"), 3);
    assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
    reloader_free(reloader);
    set("SERVER_STARTER_PORT", "80");
    assert_int_equal(new_fails(), -EINVAL);
    set("SERVER_STARTER_PORT", "80=x");
    assert_int_equal(new_fails(), -EINVAL);
    set("SERVER_STARTER_PORT", "");
    assert_int_equal(reloader_new(RELOADER_UNSET_ENVIRONMENT, &reloader), 0);
    assert_int_equal(reloader_listener_count(reloader), 0);
    assert_null(getenv("SERVER_STARTER_PORT"));
    assert_null(getenv("LISTEN_FDS"));
    reloader_free(reloader);
    assert_int_equal(reloader_new(2, &reloader), -EINVAL);
    close(3);
    close(4);
}

/* A child of a worker inherits the variable, and finds another file or nothing behind the number. */
static void stale_channel(void **state)
{
    (void)state;
    static const char *const numbers[] = {"0", "1000", "2147483647"};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        set("RELOADER_CHANNEL_FD", numbers[i]);
        struct reloader *reloader;
        assert_int_equal(reloader_new(0, &reloader), 0);
        assert_false(reloader_has_master(reloader));
        reloader_free(reloader);
    }
    set("RELOADER_CHANNEL_FD", "-1");
    assert_int_equal(new_fails(), -EINVAL);
}

static void words(void **state)
{
    struct fixture *f = *state;
    assert_true(reloader_has_master(f->reloader));
    assert_int_equal(reloader_hello(f->reloader), 0);
    assert_string_equal(heard(f), "{\"reloader\":\"hello\",\"drain\":true}\n");
    assert_int_equal(reloader_ready(f->reloader), 0);
    assert_string_equal(heard(f), "\"ready\"\n");
    assert_int_equal(reloader_fully_closed(f->reloader), 0);
    assert_string_equal(heard(f), "\"fully_closed\"\n");
    assert_int_equal(reloader_send(f->reloader, "{\"a\":[1]}"), 0);
    assert_string_equal(heard(f), "{\"a\":[1]}\n");
    assert_int_equal(reloader_send(f->reloader, ""), -EINVAL);
    assert_int_equal(reloader_send(f->reloader, "1\n2"), -EINVAL);
    assert_string_equal(heard(f), "");
}

static void status_is_escaped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(reloader_status(f->reloader, "a\"b\\c\n\x01 \xc3\xa9"), 0);
    assert_string_equal(
        heard(f), "{\"reloader\":\"status\",\"text\":\"a\\\"b\\\\c\\u000a\\u0001 \xc3\xa9\"}\n");
    char text[4098];
    memset(text, 1, sizeof(text));
    text[4097] = '\0';
    assert_int_equal(reloader_status(f->reloader, text), -EMSGSIZE);
    assert_string_equal(heard(f), "");
    text[4096] = '\0';
    assert_int_equal(reloader_status(f->reloader, text), 0);
}

static void graceful_shutdown_once(void **state)
{
    struct fixture *f = *state;
    assert_false(readable(f->reloader));
    tell(f, "\"graceful_sh");
    assert_true(readable(f->reloader));
    expect_nothing(f->reloader);
    assert_false(readable(f->reloader));
    tell(f, "utdown\"\n\"graceful_shutdown\"\n");
    expect_event(f->reloader, RELOADER_GRACEFUL_SHUTDOWN);
    expect_nothing(f->reloader);
    assert_false(readable(f->reloader));
}

static void messages(void **state)
{
    struct fixture *f = *state;
    tell(f, "\n{\"reloader\":\"from the future\"}\n{\"x\":1}\n\"graceful_shutdown "
            "\"\n\"graceful_shutdown\"\n7\n");
    expect_message(f->reloader, "{\"x\":1}");
    expect_message(f->reloader, "\"graceful_shutdown \"");
    expect_event(f->reloader, RELOADER_GRACEFUL_SHUTDOWN);
    expect_message(f->reloader, "7");
    tell(f, "\"graceful\n");
    expect_message(f->reloader, "\"graceful");
    expect_nothing(f->reloader);
}

static void word_with_nul_is_no_word(void **state)
{
    struct fixture *f = *state;
    static const char line[] = "\"graceful_shutdown\"\0x\n";
    assert_int_equal(send(f->master, line, sizeof(line) - 1, 0), sizeof(line) - 1);
    struct reloader_event event;
    assert_int_equal(reloader_process(f->reloader, &event), 1);
    assert_int_equal(event.type, RELOADER_MESSAGE);
    assert_int_equal(event.length, sizeof(line) - 2);
}

/* Writes `size` bytes and a newline in parts that the socket takes, as the worker reads. */
static void tell_long_line(const struct fixture *f, size_t size)
{
    char part[1024];
    memset(part, '8', sizeof(part));
    for (size_t told = 0; told < size; told += sizeof(part)) {
        size_t n = MIN(size - told, sizeof(part));
        assert_int_equal(send(f->master, part, n, MSG_DONTWAIT), n);
        expect_nothing(f->reloader);
    }
    tell(f, "\n");
}

static void lines_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct reloader_event event;
    tell_long_line(f, RELOADER_LINE_MAX - 1);
    assert_int_equal(reloader_process(f->reloader, &event), 1);
    assert_int_equal(event.length, RELOADER_LINE_MAX - 1);
    tell_long_line(f, RELOADER_LINE_MAX);
    expect_nothing(f->reloader);
    tell_long_line(f, 10 * RELOADER_LINE_MAX);
    tell(f, "1\n");
    expect_message(f->reloader, "1");

    char line[RELOADER_LINE_MAX + 1];
    memset(line, '8', sizeof(line));
    line[RELOADER_LINE_MAX] = '\0';
    assert_int_equal(reloader_send(f->reloader, line), -EMSGSIZE);
    line[RELOADER_LINE_MAX - 1] = '\0';
    assert_int_equal(reloader_send(f->reloader, line), 0);
}

static void end_of_the_master(void **state)
{
    struct fixture *f = *state;
    tell(f, "1\n\"graceful_shutdown\"\nunfinished");
    f->master = fd_close(f->master);
    expect_message(f->reloader, "1");
    expect_event(f->reloader, RELOADER_GRACEFUL_SHUTDOWN);
    expect_event(f->reloader, RELOADER_MASTER_GONE);
    expect_nothing(f->reloader);
    assert_false(readable(f->reloader));
    assert_false(reloader_has_master(f->reloader));
    assert_int_equal(reloader_fully_closed(f->reloader), 0);
    assert_int_equal(reloader_send(f->reloader, "1"), -ENOTCONN);
}

/* A word said to a master that is gone, before anybody has looked: the end is still told, and SIGPIPE is not sent. */
static void end_found_by_speaking(void **state)
{
    struct fixture *f = *state;
    f->master = fd_close(f->master);
    assert_int_equal(reloader_ready(f->reloader), 0);
    assert_false(reloader_has_master(f->reloader));
    assert_true(readable(f->reloader));
    expect_event(f->reloader, RELOADER_MASTER_GONE);
    expect_nothing(f->reloader);
}

/* Sends lines until not one byte more goes in; returns how many bytes went. */
static size_t fill_queue(struct reloader *reloader)
{
    char line[1001];
    memset(line, '8', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    size_t size = 0, length = sizeof(line) - 1;
    while (length > 0 && size < 100000000) {
        line[length] = '\0';
        int r = reloader_send(reloader, line);
        assert_true(r == 0 || r == -ENOBUFS);
        size += r == 0 ? length + 1 : 0;
        length = r == 0 ? length : length / 2;
    }
    assert_int_equal(length, 0);
    return size;
}

static void queue_is_bounded_and_kept(void **state)
{
    struct fixture *f = *state;
    size_t filled = fill_queue(f->reloader);
    assert_true(filled >= 262144);
    assert_int_equal(reloader_fully_closed(f->reloader), 0);
    assert_false(readable(f->reloader));

    char *all = calloc(1, 2000000);
    size_t size = 0;
    for (int idle = 0; idle < 2;) {
        ssize_t n = recv(f->master, all + size, 1999999 - size, MSG_DONTWAIT);
        idle = n > 0 ? 0 : idle + 1;
        size += n > 0 ? (size_t)n : 0;
        assert_true(n <= 0 || readable(f->reloader) ||
                    size == filled + strlen("\"fully_closed\"\n"));
        expect_nothing(f->reloader);
    }
    assert_int_equal(size, filled + strlen("\"fully_closed\"\n"));
    assert_string_equal(all + filled, "\"fully_closed\"\n");
    assert_false(readable(f->reloader));
    free(all);
}

static void notify_socket(void **state)
{
    (void)state;
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    socklen_t size = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    char name[64];
    (void)snprintf(name, sizeof(name), "@%.*s",
                   (int)(size - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
    set("NOTIFY_SOCKET", name);

    struct reloader *reloader;
    assert_int_equal(reloader_new(0, &reloader), 0);
    assert_int_equal(reloader_ready(reloader), 0);
    assert_int_equal(reloader_status(reloader, "one\nREADY=1"), 0);
    char text[64] = "";
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), strlen("READY=1"));
    assert_string_equal(text, "READY=1");
    memset(text, 0, sizeof(text));
    assert_true(recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0);
    assert_string_equal(text, "STATUS=one READY=1");
    reloader_free(reloader);
}

/* With a channel the notify socket is another library's to use. */
static void channel_before_notify_socket(void **state)
{
    struct fixture *f = *state;
    reloader_free(f->reloader);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    set_number("RELOADER_CHANNEL_FD", pair[1]);
    set("NOTIFY_SOCKET", "/nowhere");
    (void)fd_close(f->master);
    f->master = pair[0];
    assert_int_equal(reloader_new(0, &f->reloader), 0);
    assert_int_equal(reloader_ready(f->reloader), 0);
    assert_string_equal(heard(f), "\"ready\"\n");
}

static void count_events(struct reloader *reloader, const struct reloader_event *event,
                         void *userdata)
{
    unsigned *counts = userdata;
    counts[event->type]++;
    if (event->type == RELOADER_GRACEFUL_SHUTDOWN)
        assert_int_equal(reloader_fully_closed(reloader), 0);
}

static void callbacks(void **state)
{
    struct fixture *f = *state;
    unsigned counts[3] = {0, 0, 0};
    assert_int_equal(reloader_dispatch(f->reloader, count_events, counts), 0);
    tell(f, "1\n\"graceful_shutdown\"\n2\n");
    assert_int_equal(reloader_dispatch(f->reloader, count_events, counts), 3);
    assert_string_equal(heard(f), "\"fully_closed\"\n");
    f->master = fd_close(f->master);
    assert_int_equal(reloader_dispatch(f->reloader, count_events, counts), 1);
    assert_int_equal(counts[RELOADER_GRACEFUL_SHUTDOWN], 1);
    assert_int_equal(counts[RELOADER_MESSAGE], 2);
    assert_int_equal(counts[RELOADER_MASTER_GONE], 1);
}

#define ALONE(function) cmocka_unit_test_setup_teardown(function, clear, clear)
#define WITH(function)  cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(standalone),
        ALONE(listeners_of_systemd),
        ALONE(listeners_of_server_starter),
        ALONE(stale_channel),
        ALONE(notify_socket),
        WITH(words),
        WITH(status_is_escaped),
        WITH(graceful_shutdown_once),
        WITH(messages),
        WITH(word_with_nul_is_no_word),
        WITH(lines_are_bounded),
        WITH(end_of_the_master),
        WITH(end_found_by_speaking),
        WITH(queue_is_bounded_and_kept),
        WITH(channel_before_notify_socket),
        WITH(callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
