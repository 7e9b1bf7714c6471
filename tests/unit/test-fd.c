/*
 * test-fd.c - descriptors are closed once, files are read whole or not at all, nothing blocks.
 */
#include "base/fd.h"
#include "base/sealed-file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char folder[64];
    char path[128];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    strcpy(fixture.folder, "/tmp/test-fd-XXXXXX");
    if (!mkdtemp(fixture.folder))
        return -1;
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/file", fixture.folder);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)unlink(f->path);
    return rmdir(f->folder);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void write_file(const char *path, const char *data, size_t size)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
}

static void test_closing(void **state UNUSED)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), kept;
    errno = EXDEV;
    assert_int_equal(fd_close(fd), -1);
    assert_false(is_open(fd));
    errno = EXDEV;
    assert_int_equal(fd_close(-1), -1);
    assert_int_equal(fd_close(fd), -1);
    assert_int_equal(errno, EXDEV);
    {
        CLEANUP_FD int scoped = open("/dev/null", O_RDONLY | O_CLOEXEC);
        fd = scoped;
        CLEANUP_FD int taken = open("/dev/null", O_RDONLY | O_CLOEXEC);
        kept = TAKE_FD(taken);
        assert_int_equal(taken, -1);
    }
    assert_false(is_open(fd));
    assert_true(is_open(kept));
    fd_close(kept);
}

static void test_nonblocking(void **state UNUSED)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fd_set_nonblocking(fds[0], true), 0);
    assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    assert_int_equal(fd_set_nonblocking(fds[0], true), 0);
    assert_int_equal(fd_set_nonblocking(fds[0], false), 0);
    assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    fd_close(fds[0]);
    fd_close(fds[1]);
    assert_int_equal(fd_set_nonblocking(fds[0], true), -EBADF);
}

static void expect_read(const char *path, size_t limit, int result, const char *data, size_t size)
{
    CLEANUP_FREE char *read = NULL;
    size_t read_size = 4242;
    assert_int_equal(fd_read_file(path, limit, &read, &read_size), result);
    if (result < 0) {
        assert_null(read);
        assert_int_equal(read_size, 4242);
        return;
    }
    assert_int_equal(read_size, size);
    assert_memory_equal(read, data, size);
    assert_int_equal(read[size], '\0');
}

static void test_reading(void **state)
{
    struct fixture *f = *state;
    expect_read(f->path, 100, -ENOENT, NULL, 0);
    write_file(f->path, "", 0);
    expect_read(f->path, 100, 0, "", 0);
    expect_read(f->path, 0, 0, "", 0);
    write_file(f->path, "a\0b\n", 4);
    expect_read(f->path, 100, 0, "a\0b\n", 4);
    expect_read(f->path, 4, 0, "a\0b\n", 4);
    expect_read(f->path, 3, -EFBIG, NULL, 0);
    assert_int_equal(truncate(f->path, (off_t)1 << 30), 0);
    expect_read(f->path, 1 << 20, -EFBIG, NULL, 0);
}

static void test_reading_what_has_no_size(void **state UNUSED)
{
    CLEANUP_FREE char *data = NULL;
    size_t size = 0;
    assert_int_equal(fd_read_file("/proc/self/status", 1 << 20, &data, &size), 0);
    assert_true(size > 100 && strncmp(data, "Name:", 5) == 0);
    expect_read("/proc/self/status", 10, -EFBIG, NULL, 0);
}

static void test_reading_what_is_no_file(void **state)
{
    struct fixture *f = *state;
    expect_read(f->folder, 100, -EISDIR, NULL, 0);
    expect_read("/dev/zero", 100, -ENOTSUP, NULL, 0);
    (void)unlink(f->path);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    expect_read(f->path, 100, -ENOTSUP, NULL, 0);
}

static void receive(int socket, struct msghdr *message)
{
    message->msg_controllen = 256;
    assert_int_equal(recvmsg(socket, message, MSG_CMSG_CLOEXEC), 1);
}

/* One byte, and n descriptors of /dev/null, with it; they are the caller's. */
static void send_descriptors(int socket, int *sent, size_t n)
{
    char byte = 'x';
    union {
        char space[256];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = CMSG_SPACE(n * sizeof(*sent))};
    for (size_t i = 0; i < n; i++)
        sent[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(*sent))};
    memcpy(CMSG_DATA(header), sent, n * sizeof(*sent));
    assert_int_equal(sendmsg(socket, &message, 0), 1);
}

static void test_received_ones_are_closed(void **state UNUSED)
{
    int pair[2], sent[3];
    char byte;
    union {
        char space[256];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    send_descriptors(pair[0], sent, 3);
    receive(pair[1], &message);
    int received[3];
    memcpy(received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(received));
    assert_int_equal(fd_close_received(&message), 3);
    for (int i = 0; i < 3; i++) {
        assert_false(is_open(received[i]));
        assert_true(is_open(sent[i]));
        fd_close(sent[i]);
    }

    assert_int_equal(send(pair[0], "y", 1, 0), 1);
    receive(pair[1], &message);
    assert_int_equal(fd_close_received(&message), 0);
    fd_close(pair[0]);
    fd_close(pair[1]);
}

static int lowest_free(void)
{
    int fd = dup(STDIN_FILENO);
    fd_close(fd);
    return fd;
}

static void test_receiving_one(void **state UNUSED)
{
    int pair[2], sent[2], passed = -1;
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(fd_receive(pair[1], &byte, 1, &passed), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(send(pair[0], "y", 1, 0), 1);
    assert_int_equal(fd_receive(pair[1], &byte, 1, &passed), 1);
    assert_int_equal(passed, -1);

    /* Of two, the second is closed by the kernel, and the first is one's own, in place of an earlier one. */
    for (int i = 0; i < 2; i++) {
        int before = passed;
        send_descriptors(pair[0], sent, 2);
        int next = lowest_free();
        assert_int_equal(fd_receive(pair[1], &byte, 1, &passed), 1);
        assert_int_equal(passed, next);
        assert_int_equal(fcntl(passed, F_GETFD), FD_CLOEXEC);
        assert_true(before < 0 || !is_open(before));
        assert_int_equal(lowest_free(), before < 0 ? next + 1 : before);
        fd_close(sent[0]);
        fd_close(sent[1]);
    }
    fd_close(passed);
    fd_close(pair[0]);
    assert_int_equal(fd_receive(pair[1], &byte, 1, &passed), 0);
    fd_close(pair[1]);
}

static void test_data_that_nobody_changes(void **state)
{
    (void)state;
    char buffer[8] = "";
    int fd = -1;
    assert_int_equal(sealed_file_new("test", "hello", 5, &fd), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(fd, "H", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(read(fd, buffer, sizeof(buffer)), 5);
    assert_string_equal(buffer, "hello");
    assert_int_equal(read(fd, buffer, sizeof(buffer)), 0);
    fd_close(fd);
    assert_int_equal(sealed_file_new("empty", "", 0, &fd), 0);
    assert_int_equal(read(fd, buffer, sizeof(buffer)), 0);
    fd_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_nonblocking),
        cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
        cmocka_unit_test(test_reading_what_has_no_size),
        cmocka_unit_test_setup_teardown(test_reading_what_is_no_file, set_up, tear_down),
        cmocka_unit_test(test_received_ones_are_closed),
        cmocka_unit_test(test_receiving_one),
        cmocka_unit_test(test_data_that_nobody_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
