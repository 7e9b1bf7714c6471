/* Signals through pidfds, looking at the dead without reaping them, and the limit of open files. */
#include "process/nofile.h"
#include "process/pidfd.h"

#include "base/fd.h"
#include "process/spawn.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int start(const char *script, pid_t *ret_pid)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL}, *envp[] = {NULL};
    struct spawn_params params = {.argv = argv,
                                  .envp = envp,
                                  .executable = "/bin/sh",
                                  .stdin_fd = -1,
                                  .stdout_fd = -1,
                                  .stderr_fd = -1};
    struct spawn_failure failure;
    int pidfd = -1;
    assert_int_equal(spawn(&params, ret_pid, &pidfd, &failure), 0);
    return pidfd;
}

static void await_end(int pidfd)
{
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 30000), 1);
}

static void test_life(void **state)
{
    char text[PROCESS_EXIT_TEXT_SIZE];
    siginfo_t info = {.si_code = -7};
    pid_t pid;
    CLEANUP_FD int pidfd = start("exec sleep 60", &pid);

    assert_int_equal(process_peek_exit(pid, &info), 0);
    assert_int_equal(info.si_code, -7);
    assert_int_equal(process_reap(pid), -EBUSY);
    assert_int_equal(process_signal(pidfd, 0), 0);
    assert_int_equal(process_signal_group(pid, 0), 0);
    assert_int_equal(process_signal(pidfd, SIGTERM), 0);
    await_end(pidfd);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(process_peek_exit(pid, &info), 1);
        assert_int_equal(info.si_pid, pid);
        assert_string_equal(process_exit_to_text(&info, text), "SIGTERM");
    }
    /* A zombie can still be named. */
    assert_int_equal(process_signal(pidfd, 0), 0);
    assert_int_equal(process_signal_group(pid, SIGKILL), 0);
    assert_int_equal(process_reap(pid), 0);
    assert_int_equal(process_reap(pid), -ECHILD);
    assert_int_equal(process_peek_exit(pid, &info), -ECHILD);
    assert_int_equal(process_signal(pidfd, SIGTERM), -ESRCH);
    assert_int_equal(process_signal_group(pid, SIGKILL), -ESRCH);
    (void)state;
}

static void test_group_that_is_everybody(void **state)
{
    static const pid_t groups[] = {1, 0, -1, -4711};
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
        assert_int_equal(process_signal_group(groups[i], 0), -EINVAL);
    (void)state;
}

static void test_exit_text(void **state)
{
    char text[PROCESS_EXIT_TEXT_SIZE];
    siginfo_t info;
    pid_t pid;

    CLEANUP_FD int pidfd = start("exit 3", &pid);
    await_end(pidfd);
    assert_int_equal(process_peek_exit(pid, &info), 1);
    assert_string_equal(process_exit_to_text(&info, text), "exited with 3");
    assert_int_equal(process_reap(pid), 0);

    info = (siginfo_t){.si_code = CLD_DUMPED, .si_status = SIGSEGV};
    assert_string_equal(process_exit_to_text(&info, text), "SIGSEGV (core dumped)");
    info = (siginfo_t){.si_code = CLD_KILLED, .si_status = SIGRTMIN + 2};
    assert_string_equal(process_exit_to_text(&info, text), "SIGRTMIN+2");
    (void)state;
}

/* In a process of its own: a hard limit does not come back. */
static int raise_step_by_step(void)
{
    struct rlimit limit = {.rlim_cur = 100, .rlim_max = 200};
    rlim_t soft = 0;

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || nofile_get(&limit) < 0 || limit.rlim_cur != 100)
        return 2;
    if (nofile_raise(50, &soft) < 0 || soft != 100)
        return 3;
    if (nofile_raise(150, &soft) < 0 || soft != 150)
        return 4;
    if (nofile_raise(1000, &soft) < 0 || soft != 200)
        return 5;
    if (nofile_get(&limit) < 0 || limit.rlim_cur != 200 || limit.rlim_max != 200)
        return 6;
    return 0;
}

static void test_nofile(void **state)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(raise_step_by_step());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFEXITED(status));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_group_that_is_everybody),
        cmocka_unit_test(test_exit_text),
        cmocka_unit_test(test_nofile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
