/* test-usage.c - what /proc and sock_diag tell of processes: from sample files, and of this very process. */
#include "base/fd.h"
#include "base/macros.h"
#include "process/connections.h"
#include "process/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char directory[] = "/tmp/test-usage-XXXXXX";

/* A process_fd of a process that exists in files only; one that it had before is replaced. */
static int pretend(const char *name, const char *text)
{
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    if (text) {
        CLEANUP_FD int file = openat(fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(file, text, strlen(text)), strlen(text));
    }
    return fd;
}

#define STAT_TAIL                                                                                  \
    " S 77 5 5 0 -1 4194560 1 2 3 4 250 125 9 9 20 0 3 0 123456 1000000 512 "                      \
    "18446744073709551615\n"

static void test_stat(UNUSED void **state)
{
    static const char *const names[] = {"7 (server)", "7 (a) S 1 (b c)", "7 (line\nend) R)",
                                        "7 ()"};
    uint64_t hertz = (uint64_t)sysconf(_SC_CLK_TCK), page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char text[256];
        struct process_usage usage = {0};
        (void)snprintf(text, sizeof(text), "%s%s", names[i], STAT_TAIL);
        CLEANUP_FD int fd = pretend("stat", text);
        assert_int_equal(process_usage(fd, &usage), 0);
        assert_int_equal(usage.parent, 77);
        assert_int_equal(usage.cpu_usec, 375 * USEC_PER_SEC / hertz);
        assert_int_equal(usage.start_usec, 123456 * USEC_PER_SEC / hertz);
        assert_int_equal(usage.memory, 512 * page);
    }
}

static void test_bad_stat(UNUSED void **state)
{
    static const char *const texts[] = {"", "7 server S 1", "7 (server)", "7 (server) S 77 5 5",
                                        "7 (server) S x 5 5 0 -1 1 1 2 3 4 250 125"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct process_usage usage = {.memory = 1};
        CLEANUP_FD int fd = pretend("stat", texts[i]);
        assert_int_equal(process_usage(fd, &usage), -EBADMSG);
        assert_int_equal(usage.memory, 1);
    }
}

static void test_pss(UNUSED void **state)
{
    static const struct {
        const char *text;
        int r;
        uint64_t pss;
    } cases[] = {
        {"5500-7ffe ---p 00000000 00:00 0   [rollup]\nRss:   900 kB\nPss:                 410 kB\n"
         "Pss_Dirty:           1 kB\nSwapPss:   3 kB\n",
         0, 410 * 1024},
        {"x [rollup]\nRss: 900 kB\nSwapPss: 3 kB\n", -EBADMSG, 0},
        {"x [rollup]\nPss: many kB\n", -EBADMSG, 0},
        {"", -EBADMSG, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t pss = 0;
        CLEANUP_FD int fd = pretend("smaps_rollup", cases[i].text);
        assert_int_equal(process_pss(fd, &pss), cases[i].r);
        assert_int_equal(pss, cases[i].pss);
    }
}

static void test_nothing_there(UNUSED void **state)
{
    struct process_usage usage;
    struct process_fds fds;
    assert_int_equal(process_open(0), -ESRCH);
    CLEANUP_FD int fd = pretend("stat", NULL);
    (void)unlinkat(fd, "stat", 0);
    assert_int_equal(process_usage(fd, &usage), -ESRCH);
    assert_int_equal(process_count_fds(fd, NULL, NULL, &fds), -ESRCH);
}

/* A child's: nobody is left when its test fails. */
__attribute__((noreturn)) static void wait_for_the_end(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        (void)pause();
}

/* What was opened stays that process, and none once it has left. */
static void test_gone(UNUSED void **state)
{
    struct process_usage usage = {0};
    uint64_t pss;
    int status;
    pid_t child = fork();
    if (child == 0)
        wait_for_the_end();
    CLEANUP_FD int fd = process_open(child);
    assert_true(fd >= 0);
    assert_int_equal(process_usage(fd, &usage), 0);
    assert_int_equal(usage.parent, getpid());
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(process_usage(fd, &usage), -ESRCH);
    assert_int_equal(process_pss(fd, &pss), -ESRCH);
}

static uint64_t clock_of(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(clock_gettime(clock, &now), 0);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC;
}

static void test_self(UNUSED void **state)
{
    struct process_usage before = {0}, after = {0};
    uint64_t pss = 0, tick = USEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
    CLEANUP_FD int fd = process_open(getpid());
    assert_int_equal(process_usage(fd, &before), 0);
    while (clock_of(CLOCK_PROCESS_CPUTIME_ID) < before.cpu_usec + 3 * tick)
        ;
    assert_int_equal(process_usage(fd, &after), 0);
    assert_true(after.cpu_usec > before.cpu_usec);
    assert_true(after.cpu_usec <= clock_of(CLOCK_PROCESS_CPUTIME_ID) + 2 * tick);
    assert_int_equal(after.start_usec, before.start_usec);
    assert_true(after.start_usec < clock_of(CLOCK_BOOTTIME));
    assert_int_equal(after.parent, getppid());
    assert_int_equal(process_pss(fd, &pss), 0);
    assert_true(pss > 0 && pss <= after.memory * 2);
}

/* Sockets */

static bool is_connection(uint32_t inode, void *userdata)
{
    return connections_have(userdata, inode);
}

static struct process_fds count(void)
{
    struct connections connections = {0};
    struct process_fds fds = {0};
    CLEANUP_FD int fd = process_open(getpid());
    assert_int_equal(connections_read(&connections), 0);
    assert_int_equal(process_count_fds(fd, is_connection, &connections, &fds), 0);
    connections_clear(&connections);
    return fds;
}

union any_address {
    struct sockaddr generic;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

/* Three clients of which two are accepted, one of these left by its client: what the process that has both ends holds. */
static void check_counting(union any_address *address, socklen_t length,
                           const union any_address *reached, int type)
{
    int family = address->generic.sa_family;
    struct process_fds before = count();
    int server = socket(family, type | SOCK_CLOEXEC, 0), clients[3], accepted[2];
    assert_int_equal(bind(server, &address->generic, length), 0);
    assert_int_equal(listen(server, 10), 0);
    assert_int_equal(getsockname(server, &address->generic, &length), 0);
    union any_address target = reached ? *reached : *address;
    if (family == AF_INET6)
        target.in6.sin6_port = address->in6.sin6_port;
    else if (family == AF_INET)
        target.in.sin_port = address->in.sin_port;
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        clients[i] = socket(family, type | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(clients[i], &target.generic, length), 0);
    }
    assert_int_equal(count().counted, before.counted);
    for (size_t i = 0; i < ARRAY_SIZE(accepted); i++)
        accepted[i] = accept(server, NULL, NULL);
    struct process_fds now = count();
    assert_int_equal(now.counted, before.counted + 2);
    assert_int_equal(now.all, before.all + 6);
    (void)close(clients[0]);
    assert_int_equal(count().counted, before.counted + 2);
    (void)close(accepted[0]);
    assert_int_equal(count().counted, before.counted + 1);
    (void)close(accepted[1]);
    (void)close(clients[1]);
    (void)close(clients[2]);
    (void)close(server);
}

static void test_tcp(UNUSED void **state)
{
    const struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
    union any_address one = {.in = {.sin_family = AF_INET, .sin_addr = loopback}},
                      any = {.in = {.sin_family = AF_INET}}, target = one;
    check_counting(&one, sizeof(one.in), NULL, SOCK_STREAM);
    check_counting(&any, sizeof(any.in), &target, SOCK_STREAM);
}

static void test_tcp6(UNUSED void **state)
{
    union any_address any = {.in6 = {.sin6_family = AF_INET6}},
                      mapped = {.in6 = {.sin6_family = AF_INET6}};
    mapped.in6.sin6_addr = (struct in6_addr){
        .s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    CLEANUP_FD int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0 || bind(probe, &any.generic, sizeof(any.in6)) < 0) {
        print_message("no IPv6 here\n");
        skip();
    }
    check_counting(&any, sizeof(any.in6), &mapped, SOCK_STREAM);
}

static void test_unix(UNUSED void **state)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        union any_address path = {.un = {.sun_family = AF_UNIX}},
                          abstract = {.un = {.sun_family = AF_UNIX}};
        (void)snprintf(path.un.sun_path, sizeof(path.un.sun_path), "%s/socket", directory);
        (void)unlink(path.un.sun_path);
        check_counting(&path, sizeof(path.un), NULL, types[i]);
        (void)snprintf(abstract.un.sun_path + 1, sizeof(abstract.un.sun_path) - 1, "%s", directory);
        check_counting(&abstract, sizeof(abstract.un), NULL, types[i]);
    }
}

/* Another network's sockets mean nothing to us: that is told, instead of no connections. */
static void test_another_network(UNUSED void **state)
{
    struct connections none = {0};
    struct process_fds fds = {0};
    int ready[2], status;
    char word = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        word = unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 'y' : 'n';
        (void)!write(ready[1], &word, 1);
        wait_for_the_end();
    }
    assert_int_equal(read(ready[0], &word, 1), 1);
    CLEANUP_FD int fd = process_open(child);
    int r = process_count_fds(fd, is_connection, &none, &fds),
        plain = process_count_fds(fd, NULL, NULL, &fds);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, &status, 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
    if (word != 'y') {
        print_message("no network namespace for us here\n");
        skip();
    }
    assert_int_equal(r, -EXDEV);
    assert_int_equal(plain, 0);
    assert_true(fds.all > 0);
}

static int make_directory(UNUSED void **state)
{
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(UNUSED void **state)
{
    static const char *const names[] = {"stat", "smaps_rollup", "socket"};
    CLEANUP_FD int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        (void)unlinkat(fd, names[i], 0);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat), cmocka_unit_test(test_bad_stat),
        cmocka_unit_test(test_pss),  cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_gone), cmocka_unit_test(test_self),
        cmocka_unit_test(test_tcp),  cmocka_unit_test(test_tcp6),
        cmocka_unit_test(test_unix), cmocka_unit_test(test_another_network),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
