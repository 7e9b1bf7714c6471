/*
 * Groups of real processes: children of this test lead them, grandchildren stay, leave or die in them. What a process does
 * is over when it has told so over a pipe; what has died is awaited with WNOWAIT, so it is a zombie then. The test is a
 * subreaper: orphans become its children.
 */
#include "process/group.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int tell_fd = -1;

static void tell(pid_t pid)
{
    if (write(tell_fd, &pid, sizeof(pid)) != sizeof(pid))
        _exit(9);
}

static pid_t await_word(int from)
{
    pid_t pid = -1;
    assert_int_equal(read(from, &pid, sizeof(pid)), sizeof(pid));
    return pid;
}

/* A test that fails midway shall not leave processes behind. */
static pid_t fork_bounded(void)
{
    pid_t pid = fork();
    if (pid == 0)
        (void)alarm(60);
    return pid;
}

/* Starts a leader that runs `life`; *ret_from is where its processes tell of themselves. */
static pid_t lead(void (*life)(void), int *ret_from)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork_bounded();
    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)close(fds[0]);
        tell_fd = fds[1];
        life();
        _exit(0);
    }
    (void)setpgid(pid, pid);
    (void)close(fds[1]);
    *ret_from = fds[0];
    return pid;
}

static void await_zombie(pid_t pid)
{
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void finish(pid_t leader)
{
    assert_int_equal(kill(-leader, SIGKILL), 0);
    assert_int_equal(waitpid(leader, NULL, 0), leader);
}

/* All of them have been killed. */
static void reap_orphans(void)
{
    while (waitpid(-1, NULL, 0) > 0)
        ;
    assert_int_equal(errno, ECHILD);
}

static bool is_occupied(pid_t group)
{
    struct group_query query = {.group = group};
    assert_int_equal(group_scan(&query, 1, NULL, NULL), 0);
    return query.occupied;
}

static void live_alone(void)
{
    /* Names that try to be read as fields. */
    (void)prctl(PR_SET_NAME, ") Z 1 1 (x) Z 1");
    tell(getpid());
    (void)pause();
}

static void test_leader_alone(void **state)
{
    int from;
    pid_t leader = lead(live_alone, &from);

    assert_int_equal(await_word(from), leader);
    assert_true(is_occupied(leader));
    assert_true(group_has_member(leader, leader));
    assert_false(group_has_member(leader, getpid()));
    assert_int_equal(kill(leader, SIGKILL), 0);
    await_zombie(leader);
    assert_false(is_occupied(leader));
    assert_false(group_has_member(leader, leader));
    finish(leader);
    assert_false(is_occupied(leader));
    assert_false(group_has_member(leader, leader));
    (void)close(from);
    (void)state;
}

/* The kernel tells the group without a descriptor. */
static void test_without_descriptors(void **state)
{
    int from;
    const pid_t leader = lead(live_alone, &from);
    struct rlimit before, none;

    assert_int_equal(await_word(from), leader);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct group_query query = {.group = leader};
    int r = group_scan(&query, 1, NULL, NULL);
    bool itself = group_has_member(leader, leader), another = group_has_member(leader, getpid());
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r, -EMFILE);
    assert_true(itself);
    assert_false(another);
    finish(leader);
    (void)close(from);
    (void)state;
}

static void leave_a_member(void)
{
    if (fork_bounded() == 0)
        live_alone();
}

static void test_member_outlives_leader(void **state)
{
    int from;
    pid_t leader = lead(leave_a_member, &from), member = await_word(from);

    await_zombie(leader);
    assert_true(is_occupied(leader));
    assert_true(group_has_member(leader, member));
    assert_int_equal(kill(member, SIGKILL), 0);
    await_zombie(member);
    assert_false(is_occupied(leader));
    assert_false(group_has_member(leader, member));
    finish(leader);
    reap_orphans();
    (void)close(from);
    (void)state;
}

static void *stay(void *unused)
{
    (void)unused;
    /* The main thread is a zombie once /proc says so. */
    char path[64], line[512] = "";
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
    do {
        FILE *file = fopen(path, "re");
        (void)!fgets(line, sizeof(line), file);
        (void)fclose(file);
    } while (!strstr(line, ") Z "));
    tell(getpid());
    (void)pause();
    return NULL;
}

static void end_main_thread(void)
{
    pthread_t thread;
    (void)pthread_create(&thread, NULL, stay, NULL);
    (void)syscall(SYS_exit, 0);
}

static void test_threads_outlive_the_main_one(void **state)
{
    int from;
    pid_t leader = lead(end_main_thread, &from);

    assert_int_equal(await_word(from), leader);
    assert_true(is_occupied(leader));
    assert_true(group_has_member(leader, leader));
    finish(leader);
    (void)close(from);
    (void)state;
}

static void leave_the_group(void)
{
    if (fork_bounded() == 0) {
        (void)setsid();
        if (fork_bounded() == 0)
            live_alone();
        (void)pause();
    }
    (void)pause();
}

static void test_descendant_in_another_group(void **state)
{
    int from, from_other;
    pid_t leader = lead(leave_the_group, &from), other = lead(live_alone, &from_other),
          grandchild = await_word(from);

    assert_int_equal(await_word(from_other), other);
    assert_true(group_has_member(leader, grandchild));
    assert_false(group_has_member(other, grandchild));
    assert_false(group_has_member(1, grandchild));
    assert_false(group_has_member(0, grandchild));
    assert_int_equal(kill(-getpgid(grandchild), SIGKILL), 0);
    finish(other);
    finish(leader);
    reap_orphans();
    (void)close(from);
    (void)close(from_other);
    (void)state;
}

static void collect(pid_t pid, bool dead, void *userdata)
{
    pid_t *found = userdata;
    if (!dead)
        return;
    found[found[0] == 0 ? 0 : 1] = pid;
    (void)waitpid(pid, NULL, 0);
}

static void test_strangers(void **state)
{
    int from, from_known;
    pid_t stranger = lead(leave_a_member, &from), known = lead(live_alone, &from_known),
          found[2] = {0, 0};
    struct group_query query = {.group = known};

    assert_int_equal(await_word(from_known), known);
    assert_int_equal(kill(known, SIGKILL), 0);
    await_zombie(known);
    await_zombie(stranger);
    pid_t member = await_word(from);
    assert_int_equal(group_scan(&query, 1, collect, found), 0);
    assert_false(query.occupied);
    assert_int_equal(found[0], stranger);
    assert_int_equal(found[1], 0);
    assert_int_equal(kill(member, SIGKILL), 0);
    assert_int_equal(waitpid(known, NULL, 0), known);
    reap_orphans();
    (void)close(from);
    (void)close(from_known);
    (void)state;
}

static void test_many_groups(void **state)
{
    struct group_query queries[21];
    pid_t leaders[20];
    int from[20];

    for (size_t i = 0; i < 20; i++) {
        leaders[i] = lead(live_alone, &from[i]);
        assert_int_equal(await_word(from[i]), leaders[i]);
        if (i % 3 == 0) {
            assert_int_equal(kill(leaders[i], SIGKILL), 0);
            await_zombie(leaders[i]);
        }
    }
    /* In an order of their own, one of them nobody's. */
    for (size_t i = 0; i < 20; i++)
        queries[i] = (struct group_query){.group = leaders[i * 7 % 20], .occupied = i % 2 == 0};
    queries[20] = (struct group_query){.group = INT32_MAX, .occupied = true};
    assert_int_equal(group_scan(queries, 21, NULL, NULL), 0);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(queries[i].group, leaders[i * 7 % 20]);
        assert_int_equal(queries[i].occupied, i * 7 % 20 % 3 != 0);
    }
    assert_false(queries[20].occupied);
    assert_int_equal(group_scan(NULL, 0, NULL, NULL), 0);
    for (size_t i = 0; i < 20; i++) {
        finish(leaders[i]);
        (void)close(from[i]);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader_alone),
        cmocka_unit_test(test_without_descriptors),
        cmocka_unit_test(test_member_outlives_leader),
        cmocka_unit_test(test_threads_outlive_the_main_one),
        cmocka_unit_test(test_descendant_in_another_group),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_many_groups),
    };
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
