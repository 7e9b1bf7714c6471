/*
 * What a process becomes is read by itself from /proc, and each step that fails says which it was. Most of it needs root; what an ordinary user
 * may not is tried by a child that gave up root first.
 */
#include "process/spawn.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY      65534
#define REPORT_SIZE 16384
#define ASK                                                                                        \
    "cat /proc/self/status /proc/self/limits; "                                                    \
    "echo oom: $(cat /proc/self/oom_score_adj); echo nice: $(nice); pwd"

#define NEEDS_ROOT()                                                                               \
    if (geteuid() != 0) {                                                                          \
        print_message("skipped: needs root\n");                                                    \
        skip();                                                                                    \
    }

static struct spawn_params shell(const char *line, const struct process_identity *identity)
{
    static char *argv[] = {(char *)"sh", (char *)"-c", NULL, NULL};
    static char *envp[] = {(char *)"PATH=/usr/bin:/bin", NULL};
    argv[2] = (char *)(uintptr_t)line;
    return (struct spawn_params){.argv = argv,
                                 .envp = envp,
                                 .executable = "/bin/sh",
                                 .directory = "/",
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .stderr_fd = -1,
                                 .identity = identity};
}

/* What the process says of itself. */
static void ask(const struct process_identity *identity, char report[REPORT_SIZE])
{
    struct spawn_params params = shell(ASK, identity);
    struct spawn_failure failure = {0};
    int pipe_fds[2], pidfd;
    size_t size = 0;
    pid_t pid;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    params.stdout_fd = pipe_fds[1];
    int r = spawn(&params, &pid, &pidfd, &failure);
    (void)close(pipe_fds[1]);
    if (r < 0) {
        CLEANUP_FREE char *text = spawn_failure_to_text(&failure, &params);
        fail_msg("%s", text);
    }
    for (ssize_t n; (n = read(pipe_fds[0], report + size, REPORT_SIZE - 1 - size)) > 0;)
        size += (size_t)n;
    report[size] = '\0';
    (void)close(pipe_fds[0]);
    (void)close(pidfd);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void assert_said(const char *report, const char *line)
{
    if (!strstr(report, line))
        fail_msg("'%s' is not in:\n%s", line, report);
}

static struct process_identity nobody(void)
{
    static const gid_t groups[] = {7, 4242, NOBODY};
    return (struct process_identity){.user = "nobody",
                                     .group = "nogroup",
                                     .set_user = true,
                                     .set_group = true,
                                     .set_groups = true,
                                     .uid = NOBODY,
                                     .gid = NOBODY,
                                     .groups = groups,
                                     .n_groups = ARRAY_SIZE(groups)};
}

static void test_user(void **state UNUSED)
{
    NEEDS_ROOT();
    const struct process_identity identity = nobody();
    char report[REPORT_SIZE];
    ask(&identity, report);
    assert_said(report, "Uid:\t65534\t65534\t65534\t65534\n");
    assert_said(report, "Gid:\t65534\t65534\t65534\t65534\n");
    assert_said(report, "Groups:\t7 4242 65534 \n");
    assert_said(report, "CapInh:\t0000000000000000\n");
    assert_said(report, "CapPrm:\t0000000000000000\n");
    assert_said(report, "CapEff:\t0000000000000000\n");
    assert_said(report, "CapAmb:\t0000000000000000\n");
    assert_said(report, "NoNewPrivs:\t0\n");
}

/* Sharing memory with a child that changes its user would make us undumpable. */
static void test_we_stay_who_we_are(void **state UNUSED)
{
    NEEDS_ROOT();
    const struct process_identity identity = nobody();
    char report[REPORT_SIZE];
    struct stat before, after;
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    assert_int_equal(stat("/proc/self/oom_score_adj", &before), 0);
    mode_t mask = umask(022);
    ask(&identity, report);
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
    assert_int_equal(stat("/proc/self/oom_score_adj", &after), 0);
    assert_int_equal(before.st_uid, after.st_uid);
    assert_int_equal(umask(mask), 022);
    assert_int_equal(geteuid(), 0);
}

static void test_capabilities(void **state UNUSED)
{
    NEEDS_ROOT();
    struct process_identity identity = nobody();
    char report[REPORT_SIZE];
    identity.set_capabilities = true;
    identity.capabilities = 1u << CAP_NET_BIND_SERVICE | 1u << CAP_NET_RAW;
    identity.no_new_privileges = true;
    ask(&identity, report);
    assert_said(report, "CapInh:\t0000000000002400\n");
    assert_said(report, "CapPrm:\t0000000000002400\n");
    assert_said(report, "CapEff:\t0000000000002400\n");
    assert_said(report, "CapAmb:\t0000000000002400\n");
    assert_said(report, "NoNewPrivs:\t1\n");
}

/* A master that is no root may still have some, which its own exec would hand on. */
static int ask_for_no_capabilities(void)
{
    const struct process_identity keeps = {0}, drops = {.set_capabilities = true};
    struct process_identity given = nobody();
    char report[REPORT_SIZE];
    struct spawn_failure failure;
    given.set_capabilities = true;
    given.capabilities = 1u << CAP_NET_RAW;
    if (!identity_take(&given, &failure))
        return 1;
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    ask(&keeps, report);
    assert_said(report, "CapAmb:\t0000000000002000\n");
    ask(&drops, report);
    assert_said(report, "CapAmb:\t0000000000000000\n");
    assert_said(report, "CapEff:\t0000000000000000\n");
    return 0;
}

static void in_a_child(int (*function)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(function());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_no_capabilities(void **state UNUSED)
{
    NEEDS_ROOT();
    in_a_child(ask_for_no_capabilities);
}

static void test_limits(void **state UNUSED)
{
    struct process_identity identity = {
        .limits_set = 1u << RLIMIT_NOFILE | 1u << RLIMIT_CORE | 1u << RLIMIT_CPU,
        .set_umask = true,
        .umask = 0027,
        .set_nice = true,
        .nice = 7,
        .set_oom_score_adjust = true,
        .oom_score_adjust = 321,
    };
    char report[REPORT_SIZE];
    identity.limits[RLIMIT_NOFILE] = (struct rlimit){.rlim_cur = 61, .rlim_max = 62};
    identity.limits[RLIMIT_CPU] = (struct rlimit){.rlim_cur = 1000, .rlim_max = 2000};
    ask(&identity, report);
    assert_said(report, "Max open files            61                   62   ");
    assert_said(report, "Max core file size        0                    0   ");
    assert_said(report, "Max cpu time              1000                 2000   ");
    assert_said(report, "Umask:\t0027\n");
    assert_said(report, "oom: 321\n");
    assert_said(report, "nice: 7\n");
}

/* The master's own limit is for those that have none. */
static void test_nofile(void **state UNUSED)
{
    struct process_identity identity = {.limits_set = 1u << RLIMIT_NOFILE};
    struct spawn_params params = shell("test $(ulimit -n) = 50", &identity);
    struct spawn_failure failure;
    int status, pidfd;
    pid_t pid;
    identity.limits[RLIMIT_NOFILE] = (struct rlimit){.rlim_cur = 50, .rlim_max = 50};
    params.nofile = &(struct rlimit){.rlim_cur = 70, .rlim_max = 70};
    assert_int_equal(spawn(&params, &pid, &pidfd, &failure), 0);
    (void)close(pidfd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_cpus(void **state UNUSED)
{
    cpu_set_t own, one;
    char report[REPORT_SIZE], line[64];
    assert_int_equal(sched_getaffinity(0, sizeof(own), &own), 0);
    size_t cpu = CPU_SETSIZE - 1;
    while (!CPU_ISSET(cpu, &own))
        cpu--;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    const struct process_identity identity = {.cpus = &one};
    ask(&identity, report);
    (void)snprintf(line, sizeof(line), "Cpus_allowed_list:\t%zu\n", cpu);
    assert_said(report, line);
}

/* Failing steps */

/* Without asserts: it also runs in children. Returns whether it failed like this, and said so. */
static bool fails(const struct spawn_params *params, enum spawn_step step, int error,
                  const char *part)
{
    struct spawn_failure failure = {0};
    int pidfd;
    pid_t pid;
    int r = spawn(params, &pid, &pidfd, &failure);
    CLEANUP_FREE char *text = r < 0 ? spawn_failure_to_text(&failure, params) : NULL;
    bool right = r == -error && failure.step == step && failure.error == error && text &&
                 strstr(text, part);
    if (!right)
        (void)fprintf(stderr, "expected step %d, error %d, '%s': %d, step %d, '%s'\n", step, error,
                      part, r, failure.step, text ? text : "");
    return right;
}

static bool identity_fails(const struct process_identity *identity, enum spawn_step step, int error,
                           const char *part)
{
    const struct spawn_params params = shell("exit 0", identity);
    return fails(&params, step, error, part);
}

static int try_as_nobody(void)
{
    struct process_identity other = {.user = "daemon", .group = "daemon", .uid = 1, .gid = 1};
    struct process_identity priority = {.set_nice = true, .nice = -5};
    struct process_identity oom = {.set_oom_score_adjust = true, .oom_score_adjust = -500};
    struct process_identity capability = {.set_capabilities = true, .capabilities = 1u << CAP_KILL};
    struct process_identity limit = {.limits_set = 1u << RLIMIT_CORE};
    const struct rlimit low = {.rlim_cur = 100, .rlim_max = 100};
    limit.limits[RLIMIT_CORE] = (struct rlimit){.rlim_cur = 200, .rlim_max = 200};
    if (setrlimit(RLIMIT_CORE, &low) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
        return 2;
    bool right = identity_fails(&priority, SPAWN_STEP_NICE, EACCES,
                                "cannot set its nice value to -5: ");
    right &= identity_fails(&oom, SPAWN_STEP_OOM_SCORE, EACCES,
                            "cannot set its oom_score_adjust to -500: ");
    right &= identity_fails(&limit, SPAWN_STEP_LIMITS, EPERM,
                            "cannot set its limit 'core': it is above the hard limit of the "
                            "master, 100, and ");
    right &= identity_fails(&capability, SPAWN_STEP_CAPABILITIES, EPERM,
                            "cannot give it the capability kill: the master does not have it");
    other.set_groups = true;
    right &= identity_fails(&other, SPAWN_STEP_SET_GROUPS, EPERM,
                            "cannot take the supplementary groups of 'daemon' (1): ");
    other.set_groups = false;
    other.set_group = true;
    right &= identity_fails(&other, SPAWN_STEP_SET_GROUP, EPERM,
                            "cannot take the group 'daemon' (1): ");
    other.set_group = false;
    other.set_user = true;
    right &= identity_fails(&other, SPAWN_STEP_SET_USER, EPERM,
                            "cannot become the user 'daemon' (1): ");
    return right ? 0 : 1;
}

static void test_failing_steps(void **state UNUSED)
{
    NEEDS_ROOT();
    in_a_child(try_as_nobody);
}

static void test_cpu_that_is_not_there(void **state UNUSED)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(CPU_SETSIZE - 1, &cpus);
    const struct process_identity identity = {.cpus = &cpus};
    assert_true(
        identity_fails(&identity, SPAWN_STEP_AFFINITY, EINVAL, "cannot set its cpu_affinity: "));
}

/* As its user, not as root who could. */
static void test_closed_doors(void **state UNUSED)
{
    NEEDS_ROOT();
    const struct process_identity identity = nobody();
    char path[] = "/tmp/test-identity-XXXXXX";
    assert_non_null(mkdtemp(path));
    CLEANUP_FREE char *program = string_format("%s/program", path);
    CLEANUP_FD int fd = open(program, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    assert_int_equal(fchmod(fd, 0700), 0);

    struct spawn_params params = shell("exit 0", &identity);
    params.directory = path;
    bool right = fails(&params, SPAWN_STEP_DIRECTORY, EACCES, "(its user may not enter it)");
    params.directory_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    right &= fails(&params, SPAWN_STEP_DIRECTORY, EACCES, "(its user may not enter it)");
    (void)close(params.directory_fd);
    params.directory_fd = 0;
    params.directory = "/";
    params.executable = program;
    right &= chmod(path, 0755) == 0;
    right &= fails(&params, SPAWN_STEP_EXEC, EACCES, "execute permission for its user");

    assert_int_equal(unlink(program), 0);
    assert_int_equal(rmdir(path), 0);
    assert_true(right);
}

/* Its file system takes its time: exec waits for whoever has asked to be asked, who never answers. */
static int hold_exec(const char *path)
{
    int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, path) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void test_not_there_in_time(void **state UNUSED)
{
    NEEDS_ROOT();
    const struct process_identity identity = nobody();
    char path[] = "/tmp/test-identity-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0 && write(file, "#!/bin/sh\n", 10) == 10 && fchmod(file, 0755) == 0);
    (void)close(file);
    int holder = hold_exec(path);
    if (holder < 0) {
        (void)unlink(path);
        print_message("skipped: fanotify cannot hold an exec here\n");
        skip();
    }
    struct spawn_params params = shell("exit 0", &identity);
    params.executable = path;
    bool right = fails(&params, SPAWN_STEP_EXEC, ETIMEDOUT, "it was not there after 3 s");
    (void)close(holder);
    assert_int_equal(unlink(path), 0);
    assert_true(right);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* The master itself */

static int become_nobody(void)
{
    struct process_identity identity = nobody();
    struct spawn_failure failure = {0};
    char line[256];
    bool kept = false, one_user = false;
    if (identity_become(&identity, CAP_NET_BIND_SERVICE, &failure) < 0)
        return 1;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof(line), status)) {
        kept |= strcmp(line, "CapPrm:\t0000000000000400\n") == 0;
        one_user |= strcmp(line, "Uid:\t65534\t65534\t65534\t65534\n") == 0;
    }
    if (status)
        (void)fclose(status);
    if (!kept || !one_user || !process_is_user(NOBODY) || getgroups(0, NULL) != 3)
        return 2;
    return process_has_capability(CAP_NET_BIND_SERVICE) && !process_has_capability(CAP_SETUID) &&
                   setresuid(0, 0, 0) < 0
               ? 0
               : 3;
}

static void test_become(void **state UNUSED)
{
    NEEDS_ROOT();
    in_a_child(become_nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user),
        cmocka_unit_test(test_we_stay_who_we_are),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_no_capabilities),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nofile),
        cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_failing_steps),
        cmocka_unit_test(test_cpu_that_is_not_there),
        cmocka_unit_test(test_closed_doors),
        cmocka_unit_test(test_not_there_in_time),
        cmocka_unit_test(test_become),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
