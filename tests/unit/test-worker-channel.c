/* channel.c over a real socket pair and a real event loop: words, bounds, hostile input. */
#include "base/fd.h"
#include "base/log.h"
#include "worker/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    sd_event *event;
    struct channel *channel;
    int fd; /* the worker's end */
    unsigned words[CHANNEL_MESSAGE + 1];
    unsigned closed;
    bool closed_unread;
};

static void on_received(enum channel_word word, json_t *value UNUSED, void *userdata)
{
    ((struct fixture *)userdata)->words[word]++;
}

static void on_closed(bool unread, void *userdata)
{
    struct fixture *fixture = userdata;
    fixture->closed++;
    fixture->closed_unread = unread;
}

static const struct channel_ops ops = {.received = on_received, .closed = on_closed};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->fd = -1;
    assert_int_equal(sd_event_new(&fixture->event), 0);
    assert_int_equal(channel_new(fixture->event, "test/0", &ops, fixture, &fixture->channel, &fixture->fd), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)channel_free(fixture->channel);
    (void)fd_close(fixture->fd);
    (void)sd_event_unref(fixture->event);
    free(fixture);
    return 0;
}

static void run_until_idle(struct fixture *fixture)
{
    while (sd_event_run(fixture->event, 0) > 0)
        ;
}

static void say(struct fixture *fixture, const char *text)
{
    assert_int_equal(send(fixture->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    run_until_idle(fixture);
}

static void test_words(void **state)
{
    struct fixture *fixture = *state;
    say(fixture, "\"ready\"\n\"fully_closed\"\n{\"reloader\":\"hello\",\"drain\":true}\n"
                 "{\"reloader\":\"status\",\"text\":\"busy\"}\n{\"cmd\":1}\n\"Ready\"\n7\n");
    assert_int_equal(fixture->words[CHANNEL_READY], 1);
    assert_int_equal(fixture->words[CHANNEL_FULLY_CLOSED], 1);
    assert_int_equal(fixture->words[CHANNEL_HELLO], 1);
    assert_int_equal(fixture->words[CHANNEL_STATUS], 1);
    assert_int_equal(fixture->words[CHANNEL_MESSAGE], 3);
}

static void test_pieces(void **state)
{
    struct fixture *fixture = *state;
    say(fixture, "\"re");
    assert_int_equal(fixture->words[CHANNEL_READY], 0);
    say(fixture, "ady\"");
    assert_int_equal(fixture->words[CHANNEL_READY], 0);
    say(fixture, "\n");
    assert_int_equal(fixture->words[CHANNEL_READY], 1);
}

static void test_garbage_is_dropped_by_line(void **state)
{
    struct fixture *fixture = *state;
    say(fixture, "garbage\n{\"half\":\n\n\"ready\"\n");
    assert_int_equal(fixture->words[CHANNEL_READY], 1);
    assert_int_equal(fixture->words[CHANNEL_MESSAGE], 0);
}

/* Writes without blocking, letting the other side read whenever the socket is full. */
static void pour(struct fixture *fixture, char byte, size_t size)
{
    char block[8192];
    memset(block, byte, sizeof(block));
    while (size > 0) {
        ssize_t n = send(fixture->fd, block, MIN(size, sizeof(block)), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            size -= (size_t)n;
        else
            (void)sd_event_run(fixture->event, UINT64_MAX);
    }
}

static void test_a_line_without_end(void **state)
{
    struct fixture *fixture = *state;
    pour(fixture, 'x', 1024 * 1024);
    say(fixture, "\n\"ready\"\n");
    while (fixture->words[CHANNEL_READY] == 0)
        (void)sd_event_run(fixture->event, UINT64_MAX); /* the throttle's timer is due within 100 ms */
    assert_int_equal(fixture->words[CHANNEL_READY], 1);
    assert_int_equal(fixture->words[CHANNEL_MESSAGE], 0);
}

static void test_a_flood_is_throttled(void **state)
{
    struct fixture *fixture = *state;
    char lines[4096];
    for (size_t i = 0; i < sizeof(lines); i += 2)
        memcpy(lines + i, "1\n", 2);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(send(fixture->fd, lines, sizeof(lines), MSG_DONTWAIT), sizeof(lines));
    run_until_idle(fixture);
    assert_true(fixture->words[CHANNEL_MESSAGE] > 0);
    assert_true(fixture->words[CHANNEL_MESSAGE] < 16 * sizeof(lines) / 2);
    while (fixture->words[CHANNEL_MESSAGE] < 16 * sizeof(lines) / 2)
        assert_true(sd_event_run(fixture->event, UINT64_MAX) >= 0);
}

static void test_unread_is_seen(void **state)
{
    struct fixture *fixture = *state;
    json_t *word = json_string("graceful_shutdown");
    char text[64];
    assert_false(channel_is_unread(fixture->channel));
    assert_int_equal(channel_send(fixture->channel, word), 0);
    assert_true(channel_is_unread(fixture->channel));
    ssize_t n = read(fixture->fd, text, sizeof(text));
    assert_int_equal(n, strlen("\"graceful_shutdown\"\n"));
    assert_memory_equal(text, "\"graceful_shutdown\"\n", (size_t)n);
    assert_false(channel_is_unread(fixture->channel));
    json_decref(word);
}

static void test_queue_to_the_worker_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    char text[4096] = {0};
    memset(text, 'a', sizeof(text) - 1);
    json_t *word = json_string(text);
    int r = 0;
    for (unsigned i = 0; i < 1000 && r == 0; i++)
        r = channel_send(fixture->channel, word);
    assert_int_equal(r, -ENOBUFS);
    assert_true(channel_is_unread(fixture->channel));
    json_decref(word);
}

static void test_own_words(void **state UNUSED)
{
    static const char *const own[] = {"\"graceful_shutdown\"", "{\"reloader\":\"listeners\"}", "{\"reloader\":7}",
                                      "{\"cmd\":\"NODE_HANDLE\"}"},
                             *const others[] = {"\"status\"", "{\"cmd\":\"status\"}", "7", "null", "[]",
                                                "{\"cmd\":\"NODE\"}", "{\"cmd\":7}", "{\"a\":\"graceful_shutdown\"}"};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        json_auto_t *value = json_loads(own[i], JSON_DECODE_ANY, NULL);
        assert_true(channel_is_own_word(value));
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        json_auto_t *value = json_loads(others[i], JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        assert_false(channel_is_own_word(value));
    }
}

/* However many messages it does not read, that it is to leave it will find behind them. */
static void test_room_for_own_words(void **state)
{
    struct fixture *fixture = *state;
    static const char line[] = "{\"cmd\":\"status\"}\n";
    int r = 0;
    for (unsigned i = 0; i < 1000000 && r == 0; i++)
        r = channel_send_line(fixture->channel, line, strlen(line));
    assert_int_equal(r, -ENOBUFS);
    json_auto_t *word = json_string("graceful_shutdown");
    assert_int_equal(channel_send(fixture->channel, word), 0);
    assert_int_equal(channel_send_line(fixture->channel, line, strlen(line)), -ENOBUFS);
    static char all[1 << 20];
    size_t size = 0;
    ssize_t n;
    while ((n = recv(fixture->fd, all + size, sizeof(all) - size, MSG_DONTWAIT)) > 0) {
        size += (size_t)n;
        run_until_idle(fixture);
    }
    assert_memory_equal(all + size - 20, "\"graceful_shutdown\"\n", 20);
    assert_int_equal(channel_send_line(fixture->channel, line, strlen(line)), 0);
    fixture->fd = fd_close(fixture->fd);
    run_until_idle(fixture);
    assert_int_equal(channel_send_line(fixture->channel, line, strlen(line)), -EPIPE);
}

static void test_closed_after_reading(void **state)
{
    struct fixture *fixture = *state;
    fixture->fd = fd_close(fixture->fd);
    run_until_idle(fixture);
    assert_int_equal(fixture->closed, 1);
    assert_false(fixture->closed_unread);
    json_t *word = json_string("x");
    assert_int_equal(channel_send(fixture->channel, word), -EPIPE);
    json_decref(word);
}

static void test_closed_without_reading(void **state)
{
    struct fixture *fixture = *state;
    json_t *word = json_string("graceful_shutdown");
    assert_int_equal(channel_send(fixture->channel, word), 0);
    json_decref(word);
    fixture->fd = fd_close(fixture->fd);
    run_until_idle(fixture);
    assert_int_equal(fixture->closed, 1);
    assert_true(fixture->closed_unread);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_unasked_fds_are_closed(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = count_fds();
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 3)];
    } control = {0};
    struct iovec vector = {.iov_base = (void *)"\"ready\"\n", .iov_len = 8};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * 3);
    memcpy(CMSG_DATA(c), (int[]){0, 1, 2}, sizeof(int) * 3);
    assert_int_equal(sendmsg(fixture->fd, &message, 0), 8);
    run_until_idle(fixture);
    assert_int_equal(fixture->words[CHANNEL_READY], 1);
    assert_int_equal(count_fds(), before);
}

static unsigned receive_fds(int fd, char *data, size_t size)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    } control;
    struct iovec vector = {.iov_base = data, .iov_len = size - 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    assert_true(n > 0);
    data[n] = '\0';
    return fd_close_received(&message);
}

static void test_fds_go_with_their_line(void **state)
{
    struct fixture *fixture = *state;
    int fds[CHANNEL_FDS_MAX];
    for (int i = 0; i < CHANNEL_FDS_MAX; i++)
        fds[i] = fixture->fd;
    unsigned before = count_fds();
    json_auto_t *word = json_string("word");
    assert_int_equal(channel_send(fixture->channel, word), 0);
    assert_int_equal(channel_send_fds(fixture->channel, word, fds, CHANNEL_FDS_MAX), 0);
    assert_int_equal(channel_send_fds(fixture->channel, word, fds, 2), 0);
    char text[64];
    assert_int_equal(receive_fds(fixture->fd, text, sizeof(text)), CHANNEL_FDS_MAX);
    assert_string_equal(text, "\"word\"\n\"word\"\n");
    assert_int_equal(receive_fds(fixture->fd, text, sizeof(text)), 2);
    assert_string_equal(text, "\"word\"\n");
    assert_int_equal(count_fds(), before);
}

/* They never wait: neither behind a queue nor for a full socket; the queue stays what it was. */
static void test_fds_are_not_queued(void **state)
{
    struct fixture *fixture = *state;
    char block[4096];
    memset(block, ' ', sizeof(block));
    json_auto_t *word = json_string("word"), *blank = json_stringn(block, sizeof(block));
    assert_int_equal(channel_send_fds(fixture->channel, word, (int[]){-1}, 1), -EBADF);
    assert_false(channel_is_unread(fixture->channel));
    int r, lines = 0;
    while ((r = channel_send(fixture->channel, blank)) == 0)
        lines++;
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(channel_send_fds(fixture->channel, word, &fixture->fd, 1), -EAGAIN);
    for (ssize_t n, left = (ssize_t)(sizeof(block) + 3) * lines; left > 0; left -= n) {
        run_until_idle(fixture);
        n = recv(fixture->fd, block, sizeof(block), MSG_DONTWAIT);
        assert_true(n > 0);
    }
    assert_int_equal(channel_send_fds(fixture->channel, word, &fixture->fd, 1), 0);
    assert_int_equal(receive_fds(fixture->fd, block, sizeof(block)), 1);
    assert_string_equal(block, "\"word\"\n");
    fixture->fd = fd_close(fixture->fd);
    assert_int_equal(channel_send_fds(fixture->channel, word, (int[]){0}, 1), -EPIPE);
}

static void test_the_rest_is_read(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(send(fixture->fd, "\"ready\"\n\"bye\"\n", 14, 0), 14);
    fixture->fd = fd_close(fixture->fd);
    channel_read_rest(fixture->channel);
    assert_int_equal(fixture->words[CHANNEL_READY], 1);
    assert_int_equal(fixture->words[CHANNEL_MESSAGE], 1);
    assert_int_equal(fixture->closed, 1);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage_is_dropped_by_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_line_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_flood_is_throttled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unread_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_queue_to_the_worker_is_bounded, set_up, tear_down),
        cmocka_unit_test(test_own_words),
        cmocka_unit_test_setup_teardown(test_room_for_own_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_after_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed_without_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unasked_fds_are_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fds_go_with_their_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fds_are_not_queued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_rest_is_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
