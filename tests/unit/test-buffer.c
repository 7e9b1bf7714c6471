/*
 * test-buffer.c - frames in, frames out, never beyond the limit.
 */
#include "base/buffer.h"
#include "base/fd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static void put(struct buffer *buffer, const char *text)
{
    assert_int_equal(buffer_append(buffer, text, strlen(text)), 0);
}

static void expect_frame(struct buffer *buffer, char delimiter, const char *text)
{
    char *frame;
    size_t size;
    assert_int_equal(buffer_next_frame(buffer, delimiter, &frame, &size), 1);
    assert_string_equal(frame, text);
    assert_int_equal(size, strlen(text));
}

static void expect_none(struct buffer *buffer, char delimiter, int expected)
{
    char *frame = NULL;
    size_t size = 77;
    assert_int_equal(buffer_next_frame(buffer, delimiter, &frame, &size), expected);
    assert_null(frame);
    assert_int_equal(size, 77);
}

static void test_frames(void **state UNUSED)
{
    struct buffer buffer;
    buffer_init(&buffer, 64);
    expect_none(&buffer, '\n', 0);
    put(&buffer, "one\ntwo\n\nthr");
    expect_frame(&buffer, '\n', "one");
    expect_frame(&buffer, '\n', "two");
    expect_frame(&buffer, '\n', "");
    expect_none(&buffer, '\n', 0);
    put(&buffer, "ee\n");
    expect_frame(&buffer, '\n', "three");
    expect_none(&buffer, '\n', 0);
    assert_null(buffer.data);
    buffer_clear(&buffer);
}

static void test_frames_that_end_with_nul(void **state UNUSED)
{
    struct buffer buffer;
    buffer_init(&buffer, 64);
    assert_int_equal(buffer_append(&buffer, "{}\0[]\0", 6), 0);
    expect_frame(&buffer, '\0', "{}");
    expect_frame(&buffer, '\0', "[]");
    expect_none(&buffer, '\0', 0);
    buffer_clear(&buffer);
}

static void test_one_byte_at_a_time(void **state UNUSED)
{
    struct buffer buffer;
    buffer_init(&buffer, 16);
    for (int round = 0; round < 100; round++) {
        for (const char *c = "hello wor"; *c; c++) {
            assert_int_equal(buffer_append(&buffer, c, 1), 0);
            expect_none(&buffer, '\n', 0);
        }
        put(&buffer, "ld\n");
        expect_frame(&buffer, '\n', "hello world");
    }
    buffer_clear(&buffer);
}

static void test_all_or_nothing(void **state UNUSED)
{
    struct buffer buffer;
    buffer_init(&buffer, 8);
    put(&buffer, "12345");
    assert_int_equal(buffer_append(&buffer, "6789", 4), -ENOBUFS);
    assert_int_equal(buffer_size(&buffer), 5);
    put(&buffer, "678");
    assert_int_equal(buffer_append(&buffer, "", 0), 0);
    assert_int_equal(buffer_append(&buffer, "9", 1), -ENOBUFS);
    char *space;
    size_t size;
    assert_int_equal(buffer_reserve(&buffer, &space, &size), -ENOBUFS);
    buffer_clear(&buffer);
    assert_int_equal(buffer_size(&buffer), 0);
    put(&buffer, "12345678");
    buffer_clear(&buffer);
}

static void test_the_longest_frame(void **state UNUSED)
{
    struct buffer buffer;
    buffer_init(&buffer, 8);
    put(&buffer, "1234567\n");
    expect_frame(&buffer, '\n', "1234567");
    put(&buffer, "12345678");
    expect_none(&buffer, '\n', -EMSGSIZE);
    put(&buffer, "9\nnext\n");
    expect_frame(&buffer, '\n', "next");
    buffer_clear(&buffer);
}

static void test_a_long_frame_is_said_once(void **state UNUSED)
{
    struct buffer buffer;
    buffer_init(&buffer, 8);
    put(&buffer, "a\n1234");
    expect_frame(&buffer, '\n', "a");
    put(&buffer, "5678");
    expect_none(&buffer, '\n', -EMSGSIZE);
    for (int i = 0; i < 10; i++) {
        put(&buffer, "ABCDEFGH");
        expect_none(&buffer, '\n', 0);
        assert_int_equal(buffer_size(&buffer), 0);
    }
    put(&buffer, "end\n");
    expect_none(&buffer, '\n', 0);
    put(&buffer, "12345678");
    expect_none(&buffer, '\n', -EMSGSIZE);
    put(&buffer, "\n\n");
    expect_frame(&buffer, '\n', "");
    buffer_clear(&buffer);
}

static void test_receiving_in_place(void **state UNUSED)
{
    struct buffer buffer;
    buffer_init(&buffer, 10000);
    size_t received = 0;
    char *space;
    size_t size;
    while (buffer_reserve(&buffer, &space, &size) == 0) {
        assert_true(size >= 1 && size <= 10000 - received);
        memset(space, 'x', size);
        buffer_commit(&buffer, size);
        received += size;
        assert_true(buffer.allocated <= 10000);
    }
    assert_int_equal(received, 10000);
    expect_none(&buffer, '\n', -EMSGSIZE);
    expect_none(&buffer, '\n', 0);
    assert_null(buffer.data);
    buffer_clear(&buffer);
}

/* Any split of the same bytes gives the same frames, and memory stays within the limit. */
static void test_every_split(void **state UNUSED)
{
    static const char text[] = "a\nbcd\n\nthis one is too long\nlast\n";
    for (size_t first = 0; first < sizeof(text) - 1; first++)
        for (size_t chunk = 1; chunk <= 7; chunk++) {
            struct buffer buffer;
            char seen[64] = "";
            buffer_init(&buffer, 8);
            size_t at = 0, wanted = first;
            while (at < sizeof(text) - 1) {
                size_t left = sizeof(text) - 1 - at, room = 8 - buffer_size(&buffer);
                size_t n = MIN(wanted, left);
                n = MIN(n, room);
                assert_int_equal(buffer_append(&buffer, text + at, n), 0);
                at += n;
                wanted = chunk;
                char *frame;
                size_t size;
                int r;
                while ((r = buffer_next_frame(&buffer, '\n', &frame, &size)) != 0)
                    strcat(strcat(seen, r > 0 ? frame : "too long"), ",");
            }
            assert_string_equal(seen, "a,bcd,,too long,last,");
            assert_true(buffer.allocated <= 8);
            buffer_clear(&buffer);
        }
}

static void test_sending(void **state UNUSED)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct buffer buffer;
    buffer_init(&buffer, (size_t)4 << 20);
    assert_int_equal(buffer_send(&buffer, pair[0]), 1);

    static char block[1 << 16];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (char)(i * 7);
    for (int i = 0; i < 32; i++)
        assert_int_equal(buffer_append(&buffer, block, sizeof(block)), 0);
    assert_int_equal(buffer_send(&buffer, pair[0]), 0);

    size_t received = 0;
    int r = 0;
    while (received < 32 * sizeof(block)) {
        char data[5000];
        ssize_t n = recv(pair[1], data, sizeof(data), MSG_DONTWAIT);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(r, 0);
            r = buffer_send(&buffer, pair[0]);
            assert_true(r >= 0);
            continue;
        }
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(data[i], block[received++ % sizeof(block)]);
    }
    assert_int_equal(r, 1);
    assert_null(buffer.data);

    fd_close(pair[1]);
    put(&buffer, "nobody there");
    assert_int_equal(buffer_send(&buffer, pair[0]), -EPIPE);
    fd_close(pair[0]);
    buffer_clear(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_frames_that_end_with_nul),
        cmocka_unit_test(test_one_byte_at_a_time),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_the_longest_frame),
        cmocka_unit_test(test_a_long_frame_is_said_once),
        cmocka_unit_test(test_receiving_in_place),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
