/* test-members.c - whose a process is: of its group, or a descendant, also of one that has gone or went into a group of its own. */
#include "base/macros.h"
#include "process/members.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The processes of a family tell their pids over it; they end with us. */
static int told[2];

static void say_and_stay(void)
{
    const pid_t own = getpid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (write(told[1], &own, sizeof(own)) != sizeof(own))
        _exit(1);
    for (;;)
        (void)pause();
}

static pid_t hear(void)
{
    pid_t pid = 0;
    assert_int_equal(read(told[0], &pid, sizeof(pid)), sizeof(pid));
    return pid;
}

/* Leads a group; has a child in it, and one that leads another group. With a name that makes its line in /proc hard to read. */
static pid_t make_family(void)
{
    pid_t leader = fork();
    assert_true(leader >= 0);
    if (leader > 0)
        return leader;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, "a) R 1 (b");
    if (fork() == 0)
        say_and_stay();
    if (fork() == 0) {
        (void)setpgid(0, 0);
        say_and_stay();
    }
    say_and_stay();
    return 0;
}

static const struct member *find(const struct members *members, pid_t pid)
{
    for (size_t i = 0; i < members->n; i++)
        if (members->all[i].stat.pid == pid)
            return &members->all[i];
    return NULL;
}

static void end(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void test_families(UNUSED void **state)
{
    pid_t leaders[2], pids[6];
    struct member_root roots[2];
    struct members members = {0};
    leaders[0] = make_family();
    for (size_t i = 0; i < 3; i++)
        pids[i] = hear();
    leaders[1] = make_family();
    for (size_t i = 3; i < 6; i++)
        pids[i] = hear();
    for (size_t i = 0; i < 2; i++)
        roots[i] = (struct member_root){.pid = leaders[i], .leader = i};
    assert_int_equal(members_read(roots, 2, &members), 0);
    assert_int_equal(members.n, 6);
    for (size_t i = 0; i < 6; i++) {
        const struct member *member = find(&members, pids[i]);
        assert_non_null(member);
        assert_int_equal(member->leader, i / 3);
        assert_string_equal(member->stat.name, "a) R 1 (b");
    }
    for (size_t i = 1; i < 6; i++)
        assert_true(members.all[i - 1].leader < members.all[i].leader ||
                    members.all[i - 1].stat.pid < members.all[i].stat.pid);
    members_clear(&members);
    for (size_t i = 0; i < 6; i++)
        (void)kill(pids[i], SIGKILL);
    end(leaders[0]);
    end(leaders[1]);
}

/* A zombie is none of them, but those of its group are. */
static void test_dead_leader(UNUSED void **state)
{
    struct members members = {0};
    siginfo_t info;
    pid_t pids[3], leader = make_family(), in_group = 0;
    for (size_t i = 0; i < 3; i++) {
        pids[i] = hear();
        if (pids[i] != leader && getpgid(pids[i]) == leader)
            in_group = pids[i];
    }
    /* The death of their parent would be theirs. */
    pid_t member = fork();
    if (member == 0) {
        (void)setpgid(0, leader);
        say_and_stay();
    }
    in_group = hear();
    (void)kill(leader, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)leader, &info, WEXITED | WNOWAIT), 0);
    const struct member_root root = {.pid = leader};
    assert_int_equal(members_read(&root, 1, &members), 0);
    assert_null(find(&members, leader));
    assert_non_null(find(&members, in_group));
    members_clear(&members);
    end(member);
    end(leader);
}

/* Named as well: one that is a child of our parent, as we are; but not who is a child of ours. */
static void test_lost(UNUSED void **state)
{
    struct members members = {0};
    pid_t pids[3], leader = make_family();
    for (size_t i = 0; i < 3; i++)
        pids[i] = hear();
    const struct member_root roots[] = {{.pid = getpid(), .leader = 7, .lost = true},
                                        {.pid = leader, .leader = 8, .lost = true}};
    assert_int_equal(members_read(roots, 2, &members), 0);
    assert_int_equal(find(&members, getpid())->leader, 7);
    assert_int_equal(find(&members, leader)->leader, 7);
    members_clear(&members);
    for (size_t i = 0; i < 3; i++)
        (void)kill(pids[i], SIGKILL);
    end(leader);
}

static void test_nobody(UNUSED void **state)
{
    struct members members = {0};
    const struct member_root root = {.pid = INT32_MAX};
    assert_int_equal(members_read(&root, 1, &members), 0);
    assert_int_equal(members.n, 0);
    members_clear(&members);
}

static int make_pipe(UNUSED void **state)
{
    return pipe(told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_dead_leader),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_nobody),
    };
    return cmocka_run_group_tests(tests, make_pipe, NULL);
}
