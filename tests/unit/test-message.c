/* test-message.c - packets of NAME=value strings, with and without a descriptor; and what is none. */
#include "base/fd.h"
#include "base/message.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char *fields[] = {(char *)(uintptr_t) "TYPE=pipe", (char *)(uintptr_t) "TEXT=a=b\nc", NULL};

static int make_pair(void **state)
{
    static int pair[2];
    *state = pair;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
    int *pair = *state;
    (void)fd_close(pair[0]);
    (void)fd_close(pair[1]);
    return 0;
}

static void test_there_and_back(void **state)
{
    const int *pair = *state;
    CLEANUP_STRV char **received = NULL;
    int passed = -2;
    assert_int_equal(message_send(pair[0], fields, -1), 0);
    assert_int_equal(message_receive(pair[1], &received, &passed), 1);
    assert_true(strv_equal(received, fields));
    assert_int_equal(passed, -1);
    assert_int_equal(message_receive(pair[1], &received, &passed), -EAGAIN);
}

static void test_a_descriptor(void **state)
{
    const int *pair = *state;
    CLEANUP_STRV char **received = NULL;
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), passed = -1;
    assert_int_equal(message_send(pair[0], fields, null_fd), 0);
    assert_int_equal(message_receive(pair[1], &received, &passed), 1);
    assert_true(passed >= 0 && passed != null_fd);
    assert_int_equal(fcntl(passed, F_GETFD), FD_CLOEXEC);
}

static void test_the_other_side_is_gone(void **state)
{
    int *pair = *state, passed = -1;
    CLEANUP_STRV char **received = NULL;
    pair[0] = fd_close(pair[0]);
    assert_int_equal(message_receive(pair[1], &received, &passed), 0);
    assert_int_equal(message_send(pair[1], fields, -1), -EPIPE);
}

/* Dropped, with its descriptor; the next one comes through. */
static void test_what_is_none(void **state)
{
    static const char *const packets[] = {"no name", "=value", "TYPE=x\0y"};
    const int *pair = *state;
    CLEANUP_STRV char **received = NULL;
    int passed = -1;
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        size_t size = i == 2 ? 9 : strlen(packets[i]) + 1;
        assert_int_equal(send(pair[0], packets[i], size, 0), (int)size);
        assert_int_equal(message_receive(pair[1], &received, &passed), -EBADMSG);
    }
    assert_int_equal(send(pair[0], "TYPE=x", 6, 0), 6);
    assert_int_equal(message_receive(pair[1], &received, &passed), -EBADMSG);
    assert_int_equal(message_send(pair[0], fields, -1), 0);
    assert_int_equal(message_receive(pair[1], &received, &passed), 1);
}

static void test_too_large(void **state)
{
    const int *pair = *state;
    CLEANUP_FREE char *large = malloc(MESSAGE_SIZE_MAX + 1);
    assert_non_null(large);
    memset(large, 'x', MESSAGE_SIZE_MAX);
    large[1] = '=';
    large[MESSAGE_SIZE_MAX] = '\0';
    char *const one[] = {large, NULL}, *const none[] = {NULL};
    assert_int_equal(message_send(pair[0], one, -1), -EMSGSIZE);
    assert_int_equal(message_send(pair[0], none, -1), -EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_a_descriptor, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_the_other_side_is_gone, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_what_is_none, make_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_too_large, make_pair, close_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
