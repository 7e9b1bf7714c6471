/*
 * notify.c with datagrams of real processes: who is believed, what is understood, what becomes of descriptors that come along,
 * and how much of it is read at once. The test itself is the foreign process, or the worker.
 */
#include "live.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "worker/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    sd_event *event;
    char *directory;
    struct notify *notify;
    int fd; /* ours, to write with */
    unsigned ready, stopping, received;
    uint64_t extended_usec;
    char *status;
};

static void on_received(const struct notify_message *message, void *userdata)
{
    struct fixture *fixture = userdata;
    fixture->received++;
    fixture->ready += message->ready;
    fixture->stopping += message->stopping;
    if (message->extend_timeout_usec > 0)
        fixture->extended_usec = message->extend_timeout_usec;
    if (message->status) {
        free(fixture->status);
        fixture->status = strdup(message->status);
    }
}

static const struct notify_ops ops = {.received = on_received};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = live_make_directory();
    assert_int_equal(sd_event_new(&fixture->event), 0);
    assert_int_equal(notify_new(fixture->event, fixture->directory, "1-1", "web/0", &ops, fixture,
                                &fixture->notify),
                     0);
    fixture->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)notify_free(fixture->notify);
    (void)fd_close(fixture->fd);
    (void)sd_event_unref(fixture->event);
    live_remove_directory(fixture->directory);
    free(fixture->status);
    free(fixture);
    return 0;
}

static struct sockaddr_un address_of(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)strncpy(address.sun_path, notify_path(fixture->notify), sizeof(address.sun_path) - 1);
    return address;
}

/* False: the queue is full. */
static bool offer(const struct fixture *fixture, const char *data, size_t size)
{
    struct sockaddr_un address = address_of(fixture);
    ssize_t n = sendto(fixture->fd, data, size, MSG_DONTWAIT, (struct sockaddr *)&address,
                       sizeof(address));
    assert_true(n == (ssize_t)size || errno == EAGAIN);
    return n >= 0;
}

static void say(const struct fixture *fixture, const char *text)
{
    assert_true(offer(fixture, text, strlen(text)));
    live_run_ready(fixture->event);
}

static void test_words(void **state)
{
    struct fixture *fixture = *state;
    notify_set_leader(fixture->notify, getpid());
    say(fixture, "READY=1");
    assert_int_equal(fixture->ready, 1);
    say(fixture, "STATUS=serving = yes\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=1500\n");
    assert_int_equal(fixture->stopping, 1);
    assert_string_equal(fixture->status, "serving = yes");
    assert_int_equal(fixture->extended_usec, 1500);
    say(fixture, "READY=10\nREADY=\nXREADY=1\n READY=1\nSTOPPING=0\nEXTEND_TIMEOUT_USEC=-1\n"
                 "WATCHDOG=1\nMAINPID=1\n\n\nnonsense");
    say(fixture, "EXTEND_TIMEOUT_USEC=99999999999999999999999999");
    assert_int_equal(fixture->received, 4);
    assert_int_equal(fixture->ready, 1);
    assert_int_equal(fixture->stopping, 1);
    assert_int_equal(fixture->extended_usec, 1500);
    say(fixture, "STATUS=");
    assert_string_equal(fixture->status, "");
}

/* The rest of a datagram behind a NUL is not looked at, as sd_notify(3) has none. */
static void test_nul_and_nothing(void **state)
{
    struct fixture *fixture = *state;
    notify_set_leader(fixture->notify, getpid());
    assert_true(offer(fixture, "STATUS=a\0READY=1", 16));
    assert_true(offer(fixture, "", 0));
    live_run_ready(fixture->event);
    assert_int_equal(fixture->received, 2);
    assert_string_equal(fixture->status, "a");
    assert_int_equal(fixture->ready, 0);
}

static void test_nobody_is_believed_before_the_leader_is_known(void **state)
{
    struct fixture *fixture = *state;
    say(fixture, "READY=1");
    assert_int_equal(fixture->received, 0);
}

/* A child that leads a group of its own and ends when its pipe does. */
static pid_t lead_group(int *ret_end)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = live_fork();
    if (pid == 0) {
        char byte;
        (void)close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(setpgid(pid, pid), 0);
    (void)close(ends[0]);
    *ret_end = ends[1];
    return pid;
}

static void end_group(pid_t pid, int end)
{
    (void)close(end);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_foreign_process_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    int end;
    pid_t leader = lead_group(&end);
    notify_set_leader(fixture->notify, leader);
    say(fixture, "READY=1");
    assert_int_equal(fixture->received, 0);
    /* Nor is one that is gone, whoever it was. */
    pid_t other = live_fork();
    if (other == 0)
        _exit(offer(fixture, "READY=1", 7) ? 0 : 1);
    assert_int_equal(waitpid(other, NULL, 0), other);
    live_run_ready(fixture->event);
    assert_int_equal(fixture->received, 0);
    end_group(leader, end);
}

/* Forks one that says so and waits for `end`; in `group`, or (0) in one of its own. */
static pid_t fork_speaker(const struct fixture *fixture, pid_t group, int end)
{
    int said[2];
    char byte = 0;
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    pid_t pid = live_fork();
    if (pid == 0) {
        if (setpgid(0, group) < 0)
            _exit(1);
        (void)close(said[0]);
        if (!offer(fixture, "READY=1", 7) || write(said[1], "", 1) != 1)
            _exit(2);
        _exit(read(end, &byte, 1) == 0 ? 0 : 3);
    }
    (void)close(said[1]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    (void)close(said[0]);
    return pid;
}

static void test_the_group_and_descendants_are_believed(void **state)
{
    struct fixture *fixture = *state;
    int leader_end, ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t leader = lead_group(&leader_end);
    notify_set_leader(fixture->notify, leader);
    pid_t member = fork_speaker(fixture, leader, ends[0]);
    live_run_ready(fixture->event);
    assert_int_equal(fixture->ready, 1);
    /* The test as the leader of a child that went into a group of its own. */
    notify_set_leader(fixture->notify, getpid());
    pid_t child = fork_speaker(fixture, 0, ends[0]);
    live_run_ready(fixture->event);
    assert_int_equal(fixture->ready, 2);
    assert_int_equal(kill(member, SIGKILL), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(member, NULL, 0), member);
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(ends[0]);
    (void)close(ends[1]);
    end_group(leader, leader_end);
}

static void test_too_long(void **state)
{
    struct fixture *fixture = *state;
    char data[NOTIFY_DATAGRAM_MAX + 1];
    notify_set_leader(fixture->notify, getpid());
    memset(data, 'x', sizeof(data));
    memcpy(data, "READY=1\nSTATUS=", 15);
    assert_true(offer(fixture, data, sizeof(data)));
    live_run_ready(fixture->event);
    assert_int_equal(fixture->received, 0);
    assert_true(offer(fixture, data, sizeof(data) - 1));
    live_run_ready(fixture->event);
    assert_int_equal(fixture->ready, 1);
    assert_int_equal(strlen(fixture->status), sizeof(data) - 1 - 15);
}

static void say_with_fds(const struct fixture *fixture, const char *text, const int *fds, size_t n)
{
    struct sockaddr_un address = address_of(fixture);
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 8)];
    } control = {0};
    struct iovec vector = {.iov_base = (char *)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = sizeof(address),
                             .msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * n);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    assert_int_equal(sendmsg(fixture->fd, &message, 0), strlen(text));
}

/* The pipe's end that went along was the last one: when it is closed, the other end sees it. */
static void expect_barrier(const struct fixture *fixture)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct pollfd poll_fd = {.fd = ends[0]};
    say_with_fds(fixture, "BARRIER=1", &ends[1], 1);
    (void)close(ends[1]);
    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    live_run_ready(fixture->event);
    assert_int_equal(poll(&poll_fd, 1, 0), 1);
    assert_true(poll_fd.revents & POLLHUP);
    (void)close(ends[0]);
}

static void test_barrier(void **state)
{
    struct fixture *fixture = *state;
    notify_set_leader(fixture->notify, getpid());
    expect_barrier(fixture);
    assert_int_equal(fixture->received, 1);
    notify_set_leader(fixture->notify, 0);
    expect_barrier(fixture);
    assert_int_equal(fixture->received, 1);
}

static void test_fds_are_closed(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = live_count_fds();
    notify_set_leader(fixture->notify, getpid());
    say_with_fds(fixture, "READY=1", (int[]){0, 1, 2, 0, 1, 2, 0, 1}, 8);
    live_run_ready(fixture->event);
    assert_int_equal(fixture->ready, 1);
    assert_int_equal(live_count_fds(), before);
}

/* After its budget the socket rests; the datagrams wait in the kernel's queue, and none is lost. */
static void test_a_flood_is_throttled(void **state)
{
    struct fixture *fixture = *state;
    unsigned said = 0, at_rest = 0;
    notify_set_leader(fixture->notify, getpid());
    while (at_rest == 0) {
        unsigned before = fixture->received;
        while (offer(fixture, "WATCHDOG=1", 10))
            said++;
        live_run_ready(fixture->event);
        if (fixture->received == before)
            at_rest = fixture->received;
        assert_true(said < 100000);
    }
    assert_true(said > at_rest);
    RUN_UNTIL(fixture->event, fixture->received == said);
}

static void expect_main_pid(const char *text, pid_t wanted)
{
    struct notify_message message;
    CLEANUP_FREE char *datagram = strdup(text);
    notify_parse(datagram, &message);
    assert_int_equal(message.main_pid, wanted);
}

static void test_main_pid(void **state UNUSED)
{
    expect_main_pid("MAINPID=4711", 4711);
    expect_main_pid("READY=1\nMAINPID=1\n", 1);
    expect_main_pid("READY=1", 0);
    expect_main_pid("MAINPID=0", 0);
    expect_main_pid("MAINPID=-1\nMAINPID=99999999999\nMAINPID=x", 0);
}

static struct notify_message parse(const char *text)
{
    char datagram[200];
    struct notify_message message;
    strcpy(datagram, text);
    notify_parse(datagram, &message);
    return message;
}

static void test_watchdog(void **state UNUSED)
{
    assert_true(parse("STATUS=x\nWATCHDOG=1\n").alive);
    assert_false(parse("WATCHDOG=1").trigger);
    assert_true(parse("WATCHDOG=trigger").trigger);
    assert_false(parse("WATCHDOG=trigger").alive);
    assert_false(parse("WATCHDOG=0").alive || parse("WATCHDOG=10").alive || parse("READY=1").alive);
    assert_false(parse("WATCHDOG=1").sets_watchdog || parse("WATCHDOG_USEC=x").sets_watchdog);
    assert_true(parse("WATCHDOG_USEC=0").sets_watchdog);
    assert_int_equal(parse("WATCHDOG_USEC=20000000").watchdog_usec, 20000000);
    assert_false(parse("WATCHDOG_USEC=99999999999999999999999").sets_watchdog);
}

static void test_its_file(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;
    assert_int_equal(stat(notify_path(fixture->notify), &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    CLEANUP_FREE char *path = strdup(notify_path(fixture->notify));
    fixture->notify = notify_free(fixture->notify);
    assert_int_equal(stat(path, &st), -1);
}

/* A worker that has given up being root still reaches its socket; its credentials tell who it is. */
static void test_of_another_user(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    assert_int_equal(chmod(fixture->directory, 0711), 0);
    notify_set_leader(fixture->notify, getpid());
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = live_fork();
    if (pid == 0) {
        struct sockaddr_un address = address_of(fixture);
        char byte;
        (void)close(ends[1]);
        if (setresuid(65534, 65534, 65534) < 0 ||
            sendto(fixture->fd, "READY=1", 7, 0, (struct sockaddr *)&address, sizeof(address)) != 7)
            _exit(1);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 2);
    }
    (void)close(ends[0]);
    siginfo_t info = {0};
    int status;
    while (fixture->ready == 0 && info.si_pid == 0) {
        assert_true(sd_event_run(fixture->event, 10 * USEC_PER_MSEC) >= 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    }
    (void)close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(fixture->ready, 1);
}

static void test_where_it_cannot_be_made(void **state)
{
    struct fixture *fixture = *state;
    struct notify *notify = NULL;
    char long_name[120];
    unsigned before = live_count_fds();
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(
        notify_new(fixture->event, fixture->directory, long_name, "web/0", &ops, fixture, &notify),
        -ENAMETOOLONG);
    assert_int_equal(
        notify_new(fixture->event, "/nonexistent", "1-1", "web/0", &ops, fixture, &notify),
        -ENOENT);
    assert_null(notify);
    assert_int_equal(live_count_fds(), before);
}

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nul_and_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_is_believed_before_the_leader_is_known, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_foreign_process_is_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_group_and_descendants_are_believed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_barrier, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fds_are_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_flood_is_throttled, set_up, tear_down),
        cmocka_unit_test(test_main_pid),
        cmocka_unit_test(test_watchdog),
        cmocka_unit_test_setup_teardown(test_its_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_of_another_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_where_it_cannot_be_made, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
