/*
 * What a spawned process finds is reported by the process itself: this program executes itself with "--report" and
 * tells its descriptors, signals, group and directory on its standard output.
 */
#include "process/spawn.h"

#include "base/fd.h"
#include "base/strv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SELF    "/proc/self/exe"
#define FDS_MAX 64

struct report {
    int pid, group;
    char listen_pid[32], directory[256];
    unsigned long long blocked, ignored, nofile;
    unsigned long long inodes[FDS_MAX]; /* by descriptor; 0: closed */
};

static int write_report(void)
{
    char line[256], directory[256] = "";
    struct rlimit nofile;
    struct stat st;

    (void)getcwd(directory, sizeof(directory));
    (void)getrlimit(RLIMIT_NOFILE, &nofile);
    const char *listen_pid = getenv("LISTEN_PID");
    printf("ids %d %d %s\n", getpid(), getpgrp(), listen_pid && *listen_pid ? listen_pid : "-");
    printf("directory %s\nnofile %llu\n", directory, (unsigned long long)nofile.rlim_cur);

    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(fds));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(fds) && fstat(fd, &st) == 0)
            printf("fd %d %llu\n", fd, (unsigned long long)st.st_ino);
    }
    (void)closedir(fds);

    FILE *status = fopen("/proc/self/status", "re");
    while (fgets(line, sizeof(line), status))
        if (string_starts_with(line, "SigBlk:") || string_starts_with(line, "SigIgn:"))
            printf("%s", line);
    (void)fclose(status);
    return fflush(stdout) == 0 ? 0 : 1;
}

static bool read_report(int fd, struct report *ret)
{
    char line[512];
    int number;
    unsigned long long inode;
    bool complete = false;

    *ret = (struct report){0};
    FILE *stream = fdopen(fd, "r");
    while (fgets(line, sizeof(line), stream)) {
        (void)sscanf(line, "ids %d %d %31s", &ret->pid, &ret->group, ret->listen_pid);
        (void)sscanf(line, "directory %255s", ret->directory);
        (void)sscanf(line, "nofile %llu", &ret->nofile);
        (void)sscanf(line, "SigBlk: %llx", &ret->blocked);
        if (sscanf(line, "SigIgn: %llx", &ret->ignored) == 1)
            complete = true;
        if (sscanf(line, "fd %d %llu", &number, &inode) == 2 && number < FDS_MAX)
            ret->inodes[number] = inode;
    }
    (void)fclose(stream);
    return complete;
}

static struct spawn_params report_params(char *const *envp)
{
    static char *const argv[] = {(char *)"test-spawn", (char *)"--report", NULL};
    return (struct spawn_params){.argv = argv,
                                 .envp = envp,
                                 .executable = SELF,
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .stderr_fd = -1};
}

static bool run_report(struct spawn_params *params, struct report *ret, pid_t *ret_pid)
{
    int report[2], pidfd;
    struct spawn_failure failure;
    siginfo_t info;

    if (pipe2(report, O_CLOEXEC) < 0)
        return false;
    params->stdout_fd = report[1];
    int r = spawn(params, ret_pid, &pidfd, &failure);
    (void)close(report[1]);
    bool complete = read_report(report[0], ret);
    if (r < 0)
        return false;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    bool close_on_exec = fcntl(pidfd, F_GETFD) == FD_CLOEXEC;
    bool polled = poll(&ended, 1, 30000) == 1;
    (void)close(pidfd);
    return complete && close_on_exec && polled &&
           waitid(P_PID, (id_t)*ret_pid, &info, WEXITED) == 0 && info.si_code == CLD_EXITED &&
           info.si_status == 0;
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *fds = opendir("/proc/self/fd");
    while (readdir(fds))
        n++;
    (void)closedir(fds);
    return n;
}

static void assert_no_child(void)
{
    siginfo_t info;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_identity(void **state)
{
    char listen_pid[] = "LISTEN_PID=000000000000";
    char *envp[] = {listen_pid, NULL};
    struct spawn_params params = report_params(envp);
    struct report report;
    pid_t pid;

    params.pid_texts[0] = listen_pid + strlen("LISTEN_PID=");
    params.directory = "/usr";
    params.nofile = &(struct rlimit){.rlim_cur = 77, .rlim_max = 99};
    assert_true(run_report(&params, &report, &pid));
    assert_int_equal(report.pid, pid);
    assert_int_equal(report.group, pid);
    assert_int_equal(atoi(report.listen_pid), pid);
    assert_int_equal(strlen(report.listen_pid), snprintf(NULL, 0, "%d", pid));
    assert_string_equal(report.directory, "/usr");
    assert_int_equal(report.nofile, 77);
    assert_no_child();
    (void)state;
}

/* Its number may be that of a descriptor which the child is to get. */
static void test_directory_in_the_way(void **state)
{
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);
    int directory = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC), fds[20];
    struct report report;
    pid_t pid;

    assert_true(directory >= 3 && directory < 3 + (int)ARRAY_SIZE(fds));
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = STDERR_FILENO;
    params.directory = "/usr";
    params.directory_fd = directory;
    params.fds = fds;
    params.n_fds = ARRAY_SIZE(fds);
    assert_true(run_report(&params, &report, &pid));
    assert_string_equal(report.directory, "/usr");
    (void)close(directory);
    (void)state;
}

static void ignore_it(int signal)
{
    (void)signal;
}

static void test_signals(void **state)
{
    struct sigaction handled = {.sa_handler = ignore_it}, ignored = {.sa_handler = SIG_IGN}, now;
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);
    struct report report;
    sigset_t blocked, before, after;
    pid_t pid;

    assert_int_equal(sigaction(SIGUSR1, &handled, NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, &ignored, NULL), 0);
    assert_int_equal(sigaction(SIGRTMAX, &ignored, NULL), 0);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGHUP);
    (void)sigaddset(&blocked, SIGRTMIN);
    assert_int_equal(sigprocmask(SIG_SETMASK, &blocked, &before), 0);

    assert_true(run_report(&params, &report, &pid));
    assert_int_equal(report.blocked, 0);
    assert_int_equal(report.ignored, 0);

    assert_int_equal(sigprocmask(SIG_SETMASK, &before, &after), 0);
    for (int i = 1; i < NSIG; i++)
        assert_int_equal(sigismember(&after, i), sigismember(&blocked, i));
    assert_int_equal(sigaction(SIGUSR1, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, ignore_it);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_IGN);
    (void)state;
}

/* Only what was named reaches the child, whatever else is open here and wherever it lies. */
static void test_inherits_nothing_else(void **state)
{
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);
    struct report report;
    pid_t pid;

    CLEANUP_FD int other UNUSED = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(run_report(&params, &report, &pid));
    for (int fd = 0; fd < FDS_MAX; fd++)
        assert_int_equal(report.inodes[fd] != 0, fd <= 2);
    (void)state;
}

static int make_object(int at)
{
    int fd = memfd_create("object", MFD_CLOEXEC);
    if (fd == at)
        return fd;
    int moved = dup3(fd, at, O_CLOEXEC);
    (void)close(fd);
    return moved;
}

/* One placement of three descriptors among 0 to 6; each is handed over, two of them twice. */
static bool placement_holds(const int where[3])
{
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);
    struct report report;
    struct stat st[3];
    pid_t pid;

    for (int fd = 0; fd < 10; fd++)
        (void)close(fd);
    for (size_t i = 0; i < 3; i++)
        if (make_object(where[i]) != where[i] || fstat(where[i], &st[i]) < 0)
            return false;
    params.stdin_fd = where[0];
    params.stderr_fd = where[1];
    params.fds = where;
    params.n_fds = 3;
    if (!run_report(&params, &report, &pid))
        return false;
    if (report.inodes[0] != st[0].st_ino || report.inodes[2] != st[1].st_ino ||
        report.inodes[1] == 0)
        return false;
    for (int i = 0; i < 3; i++)
        if (report.inodes[3 + i] != st[i].st_ino)
            return false;
    for (int fd = 6; fd < FDS_MAX; fd++)
        if (report.inodes[fd] != 0)
            return false;
    return true;
}

static int try_all_placements(int messages)
{
    for (int a = 0; a < 7; a++)
        for (int b = 0; b < 7; b++)
            for (int c = 0; c < 7; c++) {
                if (a == b || b == c || a == c || placement_holds((int[]){a, b, c}))
                    continue;
                (void)dprintf(messages, "# descriptors at %d %d %d arrived wrongly\n", a, b, c);
                return 1;
            }
    return 0;
}

/* In a process of its own, as it uses up its standard descriptors. */
static void test_fds_in_each_others_way(void **state)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(try_all_placements(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100)));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)state;
}

static void assert_fails(const struct spawn_params *params, enum spawn_step step, int error,
                         const char *text)
{
    struct spawn_failure failure = {0};
    unsigned open_before = count_fds();
    pid_t pid = -7;
    int pidfd = -7;

    errno = ENOTTY;
    assert_int_equal(spawn(params, &pid, &pidfd, &failure), -error);
    if (step != SPAWN_STEP_CLONE)
        assert_int_equal(errno, ENOTTY);
    assert_int_equal(failure.step, step);
    assert_int_equal(failure.error, error);
    assert_int_equal(pid, -7);
    assert_int_equal(pidfd, -7);
    assert_no_child();
    assert_int_equal(count_fds(), open_before);

    CLEANUP_FREE char *said = spawn_failure_to_text(&failure, params);
    if (!strstr(said, text))
        fail_msg("'%s' lacks '%s'", said, text);
}

static void make_file(const char *directory, const char *name, const char *content, mode_t mode)
{
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
}

static int make_directory(void **state)
{
    CLEANUP_FREE char *path = string_format("/tmp/test-spawn-XXXXXX");
    if (!mkdtemp(path))
        return -1;
    make_file(path, "plain", "echo hello\n", 0755);
    make_file(path, "unexecutable", "#!/bin/sh\n", 0644);
    make_file(path, "missing-interpreter", "#! /no/such/shell -e\n", 0755);
    make_file(path, "carriage-return", "#!/bin/sh\r\n", 0755);
    make_file(path, "good", "#!/bin/sh\nexit 0\n", 0755);
    CLEANUP_FREE char *sub = string_format("%s/sub", path),
                      *in_sub = string_format("%s/sub/plain", path);
    if (mkdir(sub, 0755) < 0 || mkdir(in_sub, 0755) < 0)
        return -1;
    make_file(sub, "unexecutable", "#!/bin/sh\n", 0755);
    *state = TAKE_PTR(path);
    return 0;
}

static int remove_directory(void **state)
{
    static const char *const names[] = {
        "plain", "unexecutable", "missing-interpreter", "carriage-return",
        "good",  "sub/plain",    "sub/unexecutable",    "sub",
        ""};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *path = string_format("%s/%s", (char *)*state, names[i]);
        if (remove(path) < 0)
            return -1;
    }
    free(*state);
    return 0;
}

static void test_failing_steps(void **state)
{
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);
    struct rlimit nofile, impossible = {.rlim_cur = 2, .rlim_max = 1};

    params.directory = "/no/such/directory";
    assert_fails(&params, SPAWN_STEP_DIRECTORY, ENOENT,
                 "cannot change to directory '/no/such/directory': No such file or directory");
    params.directory = NULL;

    params.fds = (int[]){STDIN_FILENO, 4000};
    params.n_fds = 2;
    assert_fails(&params, SPAWN_STEP_FDS, EBADF, "file descriptors: Bad file descriptor");
    params.n_fds = 0;

    params.nofile = &impossible;
    assert_fails(&params, SPAWN_STEP_LIMITS, EINVAL, "limit of open files: Invalid argument");
    params.nofile = NULL;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &nofile), 0);
    int unused = dup(STDERR_FILENO);
    (void)close(unused);
    struct rlimit low = {.rlim_cur = (rlim_t)unused, .rlim_max = nofile.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct spawn_failure failure = {0};
    pid_t pid;
    int pidfd, r = spawn(&params, &pid, &pidfd, &failure);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &nofile), 0);
    assert_int_equal(r, -EMFILE);
    assert_int_equal(failure.step, SPAWN_STEP_CLONE);
    assert_no_child();
    (void)state;
}

/* A descriptor in the way of others needs room above them. */
static void test_no_room_for_fds(void **state)
{
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);
    struct rlimit nofile;
    int fds[40];

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = STDERR_FILENO;
    params.fds = fds;
    params.n_fds = ARRAY_SIZE(fds);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &nofile), 0);
    struct rlimit low = {.rlim_cur = 30, .rlim_max = nofile.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_fails(&params, SPAWN_STEP_FDS, EMFILE, "RLIMIT_NOFILE");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &nofile), 0);
    (void)state;
}

static void test_failing_exec(void **state)
{
    static const struct {
        const char *name;
        int error;
        const char *text;
    } cases[] = {
        {"absent", ENOENT, "absent': No such file or directory"},
        {"plain", ENOEXEC, "Exec format error (a script needs a first line like #!/bin/sh"},
        {"unexecutable", EACCES, "Permission denied (it must be a file with execute permission"},
        {"missing-interpreter", ENOENT, "its interpreter '/no/such/shell' does not exist"},
        {"carriage-return", ENOENT, "carriage return"},
        {"sub", EACCES, "Permission denied"},
    };
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_FREE char *path = string_format("%s/%s", (char *)*state, cases[i].name);
        params.executable = path;
        assert_fails(&params, SPAWN_STEP_EXEC, cases[i].error, cases[i].text);
    }
}

/* As a user without privileges (root is above this limit) that may have one process, which it is itself. */
static int spawn_beyond_nproc(void)
{
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp);
    struct spawn_failure failure;
    struct rlimit one = {.rlim_cur = 1, .rlim_max = 1};
    pid_t pid;
    int pidfd;

    params.executable = "/bin/true";
    if ((geteuid() == 0 && setresuid(65534, 65534, 65534) < 0) || setrlimit(RLIMIT_NPROC, &one) < 0)
        return 2;
    if (spawn(&params, &pid, &pidfd, &failure) != -EAGAIN || failure.step != SPAWN_STEP_CLONE)
        return 3;
    CLEANUP_FREE char *text = spawn_failure_to_text(&failure, &params);
    return strstr(text, "RLIMIT_NPROC") ? 0 : 4;
}

static void test_too_many_processes(void **state)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(spawn_beyond_nproc());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(WIFEXITED(status));
    (void)state;
}

static void test_many(void **state)
{
    char *envp[] = {NULL};
    struct spawn_params params = report_params(envp), failing = params;
    unsigned open_before = count_fds();

    params.executable = "/bin/true";
    failing.executable = "/no/such/program";
    for (int i = 0; i < 300; i++) {
        pid_t pid;
        int pidfd, status;
        struct spawn_failure failure;
        assert_int_equal(spawn(&params, &pid, &pidfd, &failure), 0);
        (void)close(pidfd);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(spawn(&failing, &pid, &pidfd, &failure), -ENOENT);
    }
    assert_no_child();
    assert_int_equal(count_fds(), open_before);
    (void)state;
}

static void assert_finds(const char *name, const char *directory, const char *path,
                         const char *expected)
{
    CLEANUP_FREE char *variable = path ? string_format("PATH=%s", path) : NULL, *found = NULL;
    char *envp[] = {variable, NULL};
    assert_int_equal(spawn_find_executable(name, directory, envp, &found), 0);
    assert_string_equal(found, expected);
}

static void assert_finds_not(const char *name, const char *directory, const char *path, int error)
{
    CLEANUP_FREE char *variable = path ? string_format("PATH=%s", path) : NULL, *found = NULL;
    char *envp[] = {variable, NULL};
    assert_int_equal(spawn_find_executable(name, directory, envp, &found), error);
    assert_null(found);
}

static void test_find_executable(void **state)
{
    const char *place = *state;
    CLEANUP_FREE char *good = string_format("%s/good", place),
                      *sub = string_format("%s/sub", place),
                      *in_sub = string_format("%s/sub/unexecutable", place),
                      *dotted = string_format("%s/./good", place),
                      *both = string_format("%s:%s", place, sub),
                      *below = string_format("%s/x", good);

    assert_finds(good, NULL, NULL, good);
    assert_finds("./good", place, NULL, dotted);
    assert_finds("sub/unexecutable", place, "/nowhere", in_sub);
    assert_finds("good", NULL, place, good);
    assert_finds("good", place, "", good);
    assert_finds("good", place, "/nowhere:", good);
    assert_finds("unexecutable", place, "/nowhere:sub", in_sub);
    assert_finds("true", "/", NULL,
                 access("/usr/bin/true", X_OK) == 0 ? "/usr/bin/true" : "/bin/true");
    /* One that cannot be run does not hide the next. */
    assert_finds("unexecutable", NULL, both, in_sub);

    assert_finds_not("", place, place, -ENOENT);
    assert_finds_not("absent", NULL, both, -ENOENT);
    assert_finds_not("plain", NULL, sub, -ENOENT);
    assert_finds_not("unexecutable", NULL, place, -EACCES);
    assert_finds_not("./absent", place, NULL, -ENOENT);
    assert_finds_not("./sub", place, NULL, -EISDIR);
    assert_finds_not("./unexecutable", place, NULL, -EACCES);
    assert_finds_not(below, NULL, NULL, -ENOENT);
    assert_finds_not("/dev/null", NULL, NULL, -EACCES);
}

static void test_not_found_text(void **state)
{
    char *argv[] = {(char *)"nod", NULL};
    struct spawn_params params = {.argv = argv};
    struct spawn_failure failure = {.step = SPAWN_STEP_EXEC, .error = ENOENT};
    CLEANUP_FREE char *text = spawn_failure_to_text(&failure, &params);
    assert_string_equal(text, "cannot execute 'nod': No such file or directory (it is in no directory of its PATH)");
    (void)state;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_inherits_nothing_else),
        cmocka_unit_test(test_fds_in_each_others_way),
        cmocka_unit_test(test_directory_in_the_way),
        cmocka_unit_test(test_failing_steps),
        cmocka_unit_test(test_no_room_for_fds),
        cmocka_unit_test_setup_teardown(test_failing_exec, make_directory, remove_directory),
        cmocka_unit_test(test_too_many_processes),
        cmocka_unit_test(test_many),
        cmocka_unit_test_setup_teardown(test_find_executable, make_directory, remove_directory),
        cmocka_unit_test(test_not_found_text),
    };
    if (argc > 1 && strcmp(argv[1], "--report") == 0)
        return write_report();
    /* Whoever started the test may have left something open. */
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
