/*
 * reaper.c with real process groups. What only PID 1 does is tried in a namespace of its own, where a child of this test is it.
 */
#include "live.h"

#include "base/fd.h"
#include "base/log.h"
#include "process/group.h"
#include "process/pidfd.h"
#include "worker/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    sd_event *event;
    struct reaper *reaper;
    struct reaper_entry entry;
    unsigned empty;
    int said; /* children write their pid here … */
    int hold; /* … and live until this is closed, or a signal ends them */
    int says, held;
    pid_t stray;
    unsigned told, stays; /* how often of the stray; that it stays */
    bool stuffed;         /* its environment is a large one */
};

static void on_empty(void *userdata)
{
    struct fixture *fixture = userdata;
    fixture->empty++;
    /* It is reaped by now: no child of ours has this pid. */
    siginfo_t info;
    assert_int_equal(process_peek_exit(fixture->entry.leader, &info), -ECHILD);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    int said[2], hold[2];
    log_set_level(LOG_LEVEL_ERROR);
    assert_int_equal(sd_event_new(&fixture->event), 0);
    assert_int_equal(reaper_new(fixture->event, &fixture->reaper), 0);
    assert_int_equal(pipe2(said, O_CLOEXEC), 0);
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    fixture->said = said[0];
    fixture->says = said[1];
    fixture->held = hold[0];
    fixture->hold = hold[1];
    fixture->entry = (struct reaper_entry){
        .whole_group = true, .empty = on_empty, .userdata = fixture};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)reaper_free(fixture->reaper);
    (void)sd_event_unref(fixture->event);
    (void)fd_close(fixture->said);
    (void)fd_close(fixture->says);
    (void)fd_close(fixture->hold);
    (void)fd_close(fixture->held);
    free(fixture);
    return 0;
}

static void live_in_group(struct fixture *fixture)
{
    pid_t pid = getpid();
    char byte;
    fixture->hold = fd_close(fixture->hold);
    if (write(fixture->says, &pid, sizeof(pid)) != sizeof(pid))
        _exit(1);
    (void)!read(fixture->held, &byte, 1);
    _exit(0);
}

static pid_t await_word(const struct fixture *fixture)
{
    pid_t pid;
    assert_int_equal(read(fixture->said, &pid, sizeof(pid)), sizeof(pid));
    return pid;
}

/* A leader whose group has `others` besides; it exits when they are there. */
static void lead(struct fixture *fixture, unsigned others)
{
    pid_t pid = live_fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        for (unsigned i = 0; i < others; i++)
            if (fork() == 0)
                live_in_group(fixture);
        _exit(7);
    }
    fixture->entry.leader = pid;
    reaper_add(fixture->reaper, &fixture->entry);
    for (unsigned i = 0; i < others; i++)
        (void)await_word(fixture);
}

static void let_exit(struct fixture *fixture)
{
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)fixture->entry.leader, &info, WEXITED | WNOWAIT), 0);
    reaper_exited(fixture->reaper, &fixture->entry);
}

static bool is_zombie(pid_t pid)
{
    siginfo_t info;
    return process_peek_exit(pid, &info) == 1;
}

static void test_leader_alone(void **state)
{
    struct fixture *fixture = *state;
    lead(fixture, 0);
    let_exit(fixture);
    assert_true(is_zombie(fixture->entry.leader));
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    live_run_ready(fixture->event);
    assert_int_equal(fixture->empty, 1);
}

static void test_nobody_is_reaped_before_it_exited(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = live_fork();
    if (pid == 0)
        live_in_group(fixture);
    fixture->entry.leader = pid;
    reaper_add(fixture->reaper, &fixture->entry);
    assert_int_equal(await_word(fixture), pid);
    reaper_hurry(fixture->reaper);
    assert_true(sd_event_run(fixture->event, LIVE_PATIENCE_USEC) > 0);
    assert_int_equal(fixture->empty, 0);
    fixture->hold = fd_close(fixture->hold);
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
}

static void test_survivors(void **state)
{
    struct fixture *fixture = *state;
    lead(fixture, 2);
    let_exit(fixture);
    /* Three looks, and it is still there: nobody else can be given its number. */
    for (unsigned looks = 0; looks < 3; looks++)
        assert_true(sd_event_run(fixture->event, LIVE_PATIENCE_USEC) > 0);
    assert_int_equal(fixture->empty, 0);
    assert_true(is_zombie(fixture->entry.leader));
    assert_int_equal(kill(-fixture->entry.leader, SIGKILL), 0);
    reaper_hurry(fixture->reaper);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
}

/* Without a hurry it is noticed as well. */
static void test_survivors_that_leave_by_themselves(void **state)
{
    struct fixture *fixture = *state;
    lead(fixture, 1);
    let_exit(fixture);
    assert_true(sd_event_run(fixture->event, LIVE_PATIENCE_USEC) > 0);
    assert_int_equal(fixture->empty, 0);
    fixture->hold = fd_close(fixture->hold);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
}

/* Who cannot look takes nobody for gone; who has a descriptor for himself alone can look. */
static void test_survivors_while_there_are_no_descriptors(void **state)
{
    struct fixture *fixture = *state;
    lead(fixture, 1);
    let_exit(fixture);
    live_begin_scarcity(0);
    for (unsigned looks = 0; looks < 3; looks++) {
        assert_true(sd_event_run(fixture->event, LIVE_PATIENCE_USEC) > 0);
        assert_int_equal(fixture->empty, 0);
    }
    assert_int_equal(kill(-fixture->entry.leader, SIGKILL), 0);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    live_end_scarcity();
}

static void test_relief(void **state)
{
    struct fixture *fixture = *state;
    assert_false(reaper_relieves(fixture->reaper, -EMFILE));
    lead(fixture, 1);
    let_exit(fixture);
    assert_false(reaper_relieves(fixture->reaper, -ENOENT));
    assert_false(reaper_relieves(fixture->reaper, -EAGAIN)); /* one lives on … */
    assert_int_equal(kill(-fixture->entry.leader, SIGKILL), 0);
    while (kill(-fixture->entry.leader, 0) == 0 &&
           group_members(fixture->entry.leader, NULL, 0) > 0)
        (void)sched_yield();
    assert_false(reaper_relieves(fixture->reaper, -EMFILE)); /* … and nothing was heard since */
    assert_int_equal(fixture->empty, 0);
    reaper_hurry(fixture->reaper);
    assert_true(reaper_relieves(fixture->reaper, -EMFILE));
    assert_int_equal(fixture->empty, 1);
    fixture->empty = 0;
    lead(fixture, 0);
    let_exit(fixture);
    assert_true(reaper_relieves(fixture->reaper, -EMFILE));
    assert_int_equal(fixture->empty, 1);
    assert_false(reaper_relieves(fixture->reaper, -EMFILE));
}

static void test_the_leader_alone_counts(void **state)
{
    struct fixture *fixture = *state;
    fixture->entry.whole_group = false;
    lead(fixture, 1);
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    assert_int_equal(kill(-fixture->entry.leader, SIGKILL), 0);
}

/* Two groups at once: each is told of its own. */
static void test_one_of_two(void **state)
{
    struct fixture *fixture = *state;
    struct fixture second = *fixture;
    second.empty = 0;
    second.entry.userdata = &second;
    lead(fixture, 1);
    lead(&second, 0);
    let_exit(fixture);
    let_exit(&second);
    RUN_UNTIL(fixture->event, second.empty > 0);
    assert_int_equal(fixture->empty, 0);
    assert_int_equal(kill(-fixture->entry.leader, SIGKILL), 0);
    reaper_hurry(fixture->reaper);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    assert_int_equal(second.empty, 1);
}

static void test_the_owner_goes_first(void **state)
{
    struct fixture *fixture = *state;
    lead(fixture, 1);
    let_exit(fixture);
    reaper_remove(fixture->reaper, &fixture->entry);
    siginfo_t info;
    assert_int_equal(process_peek_exit(fixture->entry.leader, &info), -ECHILD);
    assert_int_equal(kill(-fixture->entry.leader, SIGKILL), 0);
    assert_true(sd_event_run(fixture->event, LIVE_PATIENCE_USEC) > 0);
    assert_int_equal(fixture->empty, 0);
}

/* Where nobody waits, nothing is done: no timer is left. */
static void test_it_rests(void **state)
{
    struct fixture *fixture = *state;
    lead(fixture, 0);
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    assert_int_equal(sd_event_run(fixture->event, 60 * USEC_PER_MSEC), 0);
}

/*
 * Whoever started us may have SIGCHLD ignored, which exec keeps: then the kernel reaps by itself, no exit is ever seen, and a pid is
 * free while we may still signal it.
 */
static void test_children_are_ours_though_sigchld_was_ignored(void **state)
{
    struct fixture *fixture = *state;
    fixture->reaper = reaper_free(fixture->reaper);
    assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    assert_int_equal(reaper_new(fixture->event, &fixture->reaper), 0);
    lead(fixture, 0);
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
}

/* Strays */

#define MARK "/run/notify/7"

static void on_stray(pid_t pid, const char *process, bool stays, void *userdata)
{
    struct fixture *fixture = userdata;
    assert_string_equal(process, "sleep");
    assert_int_equal(pid, fixture->stray);
    fixture->told++;
    fixture->stays += stays;
}

static void exec_in_a_session_of_its_own(const struct fixture *fixture, const char *variable)
{
    pid_t pid = getpid();
    static char ballast[100000] = "A=";
    memset(ballast + 2, 'a', fixture->stuffed ? sizeof(ballast) - 3 : 1);
    char *environment[] = {ballast, ballast, ballast, (char *)variable, NULL};
    (void)setsid();
    if (write(fixture->says, &pid, sizeof(pid)) != sizeof(pid))
        _exit(1);
    (void)execle("/bin/sleep", "sleep", "1000", NULL, environment);
    _exit(127);
}

/* A leader whose child has left its group when it exits; SIGCHLD is blocked, as in the master. */
static void lead_astray(struct fixture *fixture, const char *variable)
{
    sigset_t child;
    int executed[2];
    char byte;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    assert_int_equal(sigprocmask(SIG_BLOCK, &child, NULL), 0);
    assert_int_equal(reaper_adopt_orphans(fixture->reaper), 0);
    assert_int_equal(pipe2(executed, O_CLOEXEC), 0);
    pid_t pid = live_fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        if (fork() == 0)
            exec_in_a_session_of_its_own(fixture, variable);
        (void)fd_close(executed[1]);
        _exit(read(executed[0], &byte, 1) == 0 ? 0 : 1);
    }
    (void)fd_close(executed[0]);
    (void)fd_close(executed[1]);
    fixture->stray = await_word(fixture);
    fixture->entry.leader = pid;
    fixture->entry.mark = MARK;
    fixture->entry.name = "web/0";
    fixture->entry.stray = on_stray;
    reaper_add(fixture->reaper, &fixture->entry);
}

static size_t count_left(const struct fixture *fixture)
{
    size_t n;
    (void)reaper_left(fixture->reaper, &n);
    return n;
}

static void test_a_stray_that_stays(void **state)
{
    struct fixture *fixture = *state;
    size_t n;
    lead_astray(fixture, "NOTIFY_SOCKET=" MARK);
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    assert_int_equal(fixture->told, 1);
    assert_int_equal(fixture->stays, 1);
    const struct reaper_left *left = reaper_left(fixture->reaper, &n);
    assert_int_equal(n, 1);
    assert_int_equal(left->pid, fixture->stray);
    assert_string_equal(left->process, "sleep");
    assert_string_equal(left->name, "web/0");
    assert_int_equal(kill(fixture->stray, SIGKILL), 0);
    RUN_UNTIL(fixture->event, count_left(fixture) == 0);
    assert_int_equal(kill(fixture->stray, 0), -1);
    assert_int_equal(fixture->told, 1);
}

static void test_a_stray_that_counts(void **state)
{
    struct fixture *fixture = *state;
    fixture->entry.whole_tree = true;
    lead_astray(fixture, "NOTIFY_SOCKET=" MARK);
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->told >= 3);
    assert_int_equal(fixture->empty, 0);
    assert_int_equal(fixture->stays, 0);
    assert_int_equal(kill(fixture->stray, SIGKILL), 0);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    assert_int_equal(count_left(fixture), 0);
}

/* What is marked otherwise, or not at all, is nobody's. */
static void test_a_stray_of_another(void **state)
{
    struct fixture *fixture = *state;
    fixture->entry.whole_tree = true;
    lead_astray(fixture, "NOTIFY_SOCKET=" MARK "7");
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->empty > 0);
    assert_int_equal(fixture->told, 0);
    assert_int_equal(kill(fixture->stray, SIGKILL), 0);
}

/* A thousand of them may be looked at in one pass, by a master that has others to care for. */
static void test_a_stray_with_more_than_is_read(void **state)
{
    struct fixture *fixture = *state;
    fixture->entry.whole_tree = true;
    fixture->stuffed = true;
    lead_astray(fixture, "NOTIFY_SOCKET=" MARK);
    let_exit(fixture);
    RUN_UNTIL(fixture->event, fixture->empty > 0 || fixture->told >= 3);
    assert_int_equal(kill(fixture->stray, SIGKILL), 0);
    assert_int_equal(fixture->told, 0);
    assert_int_equal(fixture->empty, 1);
}

/* PID 1 */

/* An orphan that dies: ours, as PID 1, though we never started it. Returns when it has been reaped, or not in time. */
static int be_the_first(void)
{
    sigset_t all;
    sd_event *event = NULL;
    struct reaper *reaper = NULL;
    int says[2];
    pid_t orphan;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    if (getpid() != 1 || sd_event_new(&event) < 0 || reaper_new(event, &reaper) < 0 ||
        reaper_adopt_orphans(reaper) < 0 || pipe(says) < 0)
        return 10;
    pid_t parent = fork();
    if (parent == 0) {
        orphan = fork();
        if (orphan == 0) {
            /* Its parent is gone when PID 1 is it. */
            while (getppid() != 1)
                (void)sched_yield();
            _exit(0);
        }
        _exit(write(says[1], &orphan, sizeof(orphan)) == sizeof(orphan) ? 0 : 1);
    }
    if (read(says[0], &orphan, sizeof(orphan)) != sizeof(orphan))
        return 11;
    /* The parent is a child nobody has made known: a stranger as well. */
    while (kill(orphan, 0) == 0 || kill(parent, 0) == 0)
        if (sd_event_run(event, LIVE_PATIENCE_USEC) <= 0)
            return 12;
    (void)reaper_free(reaper);
    (void)sd_event_unref(event);
    return errno == ESRCH ? 0 : 13;
}

static int mount_own_proc(void)
{
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, "") < 0 ||
        mount("proc", "/proc", "proc", 0, "") < 0)
        return -errno;
    return 0;
}

#define CANNOT 77

static void test_strangers_of_pid_1(UNUSED void **state)
{
    int status;
    pid_t outer = live_fork();
    if (outer == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
            _exit(CANNOT);
        pid_t first = live_fork();
        if (first == 0)
            _exit(mount_own_proc() < 0 ? CANNOT : be_the_first());
        _exit(waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    assert_int_equal(waitpid(outer, &status, 0), outer);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT) {
        print_message("skipped: a PID namespace of our own needs root\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(test_leader_alone),
        A_TEST(test_nobody_is_reaped_before_it_exited),
        A_TEST(test_survivors),
        A_TEST(test_survivors_that_leave_by_themselves),
        A_TEST(test_survivors_while_there_are_no_descriptors),
        A_TEST(test_relief),
        A_TEST(test_the_leader_alone_counts),
        A_TEST(test_one_of_two),
        A_TEST(test_the_owner_goes_first),
        A_TEST(test_it_rests),
        A_TEST(test_children_are_ours_though_sigchld_was_ignored),
        A_TEST(test_a_stray_that_stays),
        A_TEST(test_a_stray_that_counts),
        A_TEST(test_a_stray_of_another),
        A_TEST(test_a_stray_with_more_than_is_read),
        cmocka_unit_test(test_strangers_of_pid_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
