/*
 * test-reloaderctl.c - the real reloaderctl against a fake master: what it prints and its exit codes. The two programs
 * are named by the environment variables RELOADERCTL and FAKE_MASTER.
 */
#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

extern char **environ;

static char directory[] = "/tmp/test-reloaderctl-XXXXXX";
static char path[64];
static pid_t master;

/* Starts a program with its output in a pipe; *ret_fd is the reading end. */
static pid_t start(char *const *argv, int *ret_fd)
{
    int fds[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], 1), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], 2), 0);
    assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static void serve(const char *scenario)
{
    char *argv[] = {getenv("FAKE_MASTER"), path, (char *)"1", (char *)scenario, NULL};
    char word[8] = "";
    int fd;
    assert_non_null(argv[0]);
    master = start(argv, &fd);
    assert_int_equal(read(fd, word, sizeof(word)), 8);
    assert_memory_equal(word, "serving\n", 8);
    /* Its log goes nowhere. */
    (void)close(fd);
}

static int end_master(UNUSED void **state)
{
    int status;
    if (master > 0) {
        (void)kill(master, SIGKILL);
        (void)waitpid(master, &status, 0);
    }
    master = 0;
    (void)unlink(path);
    return 0;
}

static char output[1 << 16];
static int ended; /* how the program whose output that is ended, as of waitpid(2) */

static int finish(pid_t pid, int fd)
{
    size_t size = 0;
    ssize_t n;
    while (size < sizeof(output) - 1 &&
           (n = read(fd, output + size, sizeof(output) - 1 - size)) > 0)
        size += (size_t)n;
    output[size] = '\0';
    (void)close(fd);
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
}

/* Runs reloaderctl with these words (NULL-terminated) to its end; what it wrote is in `output`. */
static int run(const char *first, ...)
{
    CLEANUP_STRV char **argv = NULL;
    assert_int_equal(strv_append(&argv, getenv("RELOADERCTL")), 0);
    va_list words;
    va_start(words, first);
    for (const char *word = first; word; word = va_arg(words, const char *))
        assert_int_equal(strv_append(&argv, word), 0);
    va_end(words);
    int fd;
    pid_t pid = start(argv, &fd);
    return finish(pid, fd);
}

/* What a program said as it broke, a sanitizer's report above all, tells why. */
static void check_exit(int code, int expected, int line)
{
    if (code == expected)
        return;
    if (WIFSIGNALED(ended))
        (void)fprintf(stderr, "line %d: ended by %s", line, strsignal(WTERMSIG(ended)));
    else
        (void)fprintf(stderr, "line %d: exit status %d instead of %d", line, code, expected);
    (void)fprintf(stderr, ", after this:\n%s\n", output);
    _fail(__FILE__, line);
}

#define expect_exit(code, expected) check_exit(code, expected, __LINE__)
#define expect_run(expected, ...)   check_exit(run(__VA_ARGS__), expected, __LINE__)

static void expect_output(const char *part)
{
    if (!strstr(output, part))
        fail_msg("no \"%s\" in: %s", part, output);
}

static void test_status(UNUSED void **state)
{
    serve("commit");
    expect_run(0, "-s", path, "status", NULL);
    expect_output("web  READY  generation 7  4 of 4 ready\n");
    expect_output("  web/0   4710    7  READY     1 h 3 min         0    -       -            -  "
                  "213 connections\n");
    expect_output("?[2Jgone  next line");
    expect_output("\nweb       127.0.0.1:7000          3     4096      -\n");
    assert_null(strchr(output, '\x1b'));
    expect_run(0, "ls", "-s", path, NULL);
    expect_run(0, "-s", path, "status", "--json", NULL);
    assert_null(strchr(output, '\x1b'));
    expect_output("\"uptime_usec\": 93784000000");
    /* Of the master alone: who has the workers' pids is no child of it. */
    expect_output("\"cpu_usec\": ");
    assert_null(strstr(strstr(output, "\"cpu_usec\": ") + 1, "\"cpu_usec\": "));
    expect_output("\"memory\": ");
    assert_null(strstr(output, "\"pss\": "));
    assert_int_equal(run("-s", path, "status", "--json", "--pss", NULL), 0);
    expect_output("\"pss\": ");
    assert_int_equal(run("-s", path, "status", "--pss", NULL), 0);
    expect_output("  CPU  PSS  CONNECTIONS  TEXT\n");
}

static void test_top(UNUSED void **state)
{
    size_t looks = 0, lines = 0;
    serve("commit");
    assert_int_equal(run("-s", path, "top", "-n", "2", "-d", "0.1", NULL), 0);
    expect_output("workers  4 of 5 ready");
    expect_output("?[2Jgone  next line");
    assert_null(strchr(output, '\x1b'));
    for (const char *at = output; (at = strstr(at, "LISTENER  ADDRESS")); at++)
        looks++;
    assert_int_equal(looks, 2);
    assert_int_equal(run("-s", path, "top", "--json", "-n2", "-d100ms", NULL), 0);
    for (const char *at = output; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 2);
    assert_int_equal(output[0], '{');
    assert_int_equal(run("-s", path, "top", "-d", "0", NULL), 2);
    expect_output("-d takes seconds, from 0.1 to 3600; '0' is not that");
    assert_int_equal(run("-s", path, "top", "-n", "x", NULL), 2);
    assert_int_equal(run("-s", path, "reload", "-d", "1", NULL), 2);
    expect_output("reload does not take -d");
}

static void test_status_not_ready(UNUSED void **state)
{
    serve("stopped");
    expect_run(4, "-s", path, "status", NULL);
    expect_output("FATAL");
    expect_run(4, "-s", path, "list", "--json", NULL);
}

static void test_socket_by_environment(UNUSED void **state)
{
    serve("commit");
    assert_int_equal(setenv("RELOADER_CONTROL", path, 1), 0);
    expect_run(0, "version", NULL);
    expect_output("master " RELOADER_VERSION ", pid ");
    expect_run(3, "-s", "/nonexistent", "version", NULL);
    assert_int_equal(unsetenv("RELOADER_CONTROL"), 0);
}

static void test_reload_commits(UNUSED void **state)
{
    serve("commit");
    expect_run(0, "-s", path, "reload", NULL);
    expect_output("worker web/0: READY -> DRAINING, pid 5700, generation 7 (reload 1)\n");
    expect_output("rollout web: canary, 0 of 4 ready\n");
    expect_output("worker web/3: STARTING -> READY, pid 5803, generation 8 (after 120 ms)\n");
    expect_output("reload 1 committed after 1.2 s\n");
    expect_run(0, "-s", path, "reload", "--json", NULL);
    assert_ptr_equal(strstr(output, "{\"id\":2,\"result\":\"committed\""), output);
    assert_ptr_equal(strchr(output, '\n'), output + strlen(output) - 1);
    expect_run(0, "-s", path, "reload", "--no-wait", NULL);
    assert_string_equal(output, "reload 3 asked for\n");
    expect_run(0, "-s", path, "reload", "-q", NULL);
    assert_string_equal(output, "reload 4 committed after 1.2 s\n");
    expect_run(2, "-s", path, "status", "--quiet", NULL);
}

static void test_reload_fails(UNUSED void **state)
{
    serve("fail");
    expect_run(1, "-s", path, "reload", NULL);
    expect_output("reload 1 rolled back after 1.2 s: web/1 exited with 1 before it was ready\n");
    expect_output("exited with 1 ?]0;title?");
    expect_run(1, "-s", path, "reload", "--json", NULL);
    expect_output("\"result\":\"rolled_back\"");
}

static void test_reload_refused(UNUSED void **state)
{
    serve("refuse");
    expect_run(1, "-s", path, "reload", NULL);
    expect_output(
        "reload 1 refused after 1.2 s: reloader.yaml:3:5: programs.web.workers: 0 is too small\n");
}

static void test_master_dies_in_a_reload(UNUSED void **state)
{
    serve("die");
    expect_run(3, "-s", path, "reload", NULL);
    expect_output(" left before reload 1 had a result");
}

static void test_events_and_shutdown(UNUSED void **state)
{
    serve("commit");
    char *argv[] = {
        getenv("RELOADERCTL"), (char *)"-s",     path, (char *)"events", (char *)"--json",
        (char *)"reload",      (char *)"master", NULL};
    int fd;
    pid_t events = start(argv, &fd);
    /* Whether it has subscribed yet is not ours to see: reload until it says something. */
    char first;
    assert_int_equal(fd_set_nonblocking(fd, true), 0);
    for (int i = 0; i < 1000 && read(fd, &first, 1) < 0; i++)
        expect_run(0, "-s", path, "reload", NULL);
    assert_int_equal(first, '{');
    assert_int_equal(fd_set_nonblocking(fd, false), 0);
    expect_run(0, "-s", path, "shutdown", NULL);
    expect_output("is gone after");
    expect_exit(finish(events, fd), 0);
    expect_output("\"state\":\"leaving\"");
    expect_output("\"type\":\"reload\"");
    assert_null(strstr(output, "worker"));
    int status = -1;
    assert_int_equal(waitpid(master, &status, 0), master);
    master = 0;
    assert_int_equal(status, 0);
    expect_run(3, "-s", path, "quit", NULL);
}

static void test_history(UNUSED void **state)
{
    serve("commit");
    expect_run(0, "-s", path, "history", NULL);
    expect_output("ID  BEGAN                RESULT       AFTER  CAUSE");
    expect_output("  committed    1.2 s  SIGHUP by root (pid 4701)");
    expect_output("  rolled back  2.4 s  control by root (pid 4702), and 1 more"
                  "  web/0 exited with 1 before it was ready\n");
    expect_run(0, "-s", path, "history", "2", NULL);
    expect_output("reload 2 rolled back after 2.4 s: web/0 exited with 1 before it was ready\n");
    expect_output("\n  canaries       120 ms\n");
    expect_output("\n  web: rolled back, generation 4, 4 workers: web/0 exited with 1");
    assert_null(strstr(output, "rolling back "));
    expect_run(0, "-s", path, "history", "--json", "1", NULL);
    expect_output("\"id\": 1,");
    expect_run(1, "-s", path, "history", "3", NULL);
    expect_run(2, "-s", path, "history", "0", NULL);
    expect_run(2, "-s", path, "history", "1", "2", NULL);
}

static void test_events_of_a_wrong_type(UNUSED void **state)
{
    serve("commit");
    expect_run(1, "-s", path, "events", "weather", NULL);
    expect_output("the master does not take what was given for 'types'; `reloaderctl help events` lists");
}

static void test_events_from_earlier_on(UNUSED void **state)
{
    serve("commit");
    expect_run(2, "-s", path, "events", "--since", "yesterday", NULL);
    expect_output("'yesterday' is none of these");
    expect_run(2, "-s", path, "events", "--since", NULL);
    expect_run(2, "-s", path, "status", "--since", "5m", NULL);
    expect_output("status does not take --since");
}

static void test_send(UNUSED void **state)
{
    serve("commit");
    expect_run(1, "-s", path, "send", "web", "{\"cmd\":\"status\"}", NULL);
    expect_output("web/0 (pid 4710): sent; it has not yet read what was sent before\n");
    expect_output("web/1 (pid 4711): not sent: it drains\n");
    expect_run(1, "-s", path, "send", "-q", "web", "7", NULL);
    expect_run(1, "-s", path, "send", "nobody", "7", NULL);
    expect_output("there is no program, group or worker 'nobody'");
    expect_run(1, "-s", path, "send", "web", "\"graceful_shutdown\"", NULL);
    expect_output("own words");
    expect_run(2, "-s", path, "send", "web", "hello", NULL);
    expect_output("'hello' is no JSON");
    expect_run(2, "-s", path, "send", "web", NULL);
    expect_output("send takes names");
}

static void test_why(UNUSED void **state)
{
    serve("commit");
    expect_run(0, "-s", path, "why", NULL);
    expect_output("no worker is draining or stopping\n");
    expect_run(0, "-s", path, "why", "--json", "web", NULL);
    expect_output("\"workers\": []");
    expect_run(1, "-s", path, "why", "-a", NULL);
    expect_output("no worker is here\n");
    expect_output("reloaderctl: connections are not known: no reloader-why\n");
    expect_run(1, "-s", path, "why", "nobody", NULL);
    expect_output("there is no program, group or worker 'nobody'");
    expect_run(2, "-s", path, "why", "--force", NULL);
}

static void test_no_master(UNUSED void **state)
{
    char where[96];
    (void)snprintf(where, sizeof(where), "  %s: there is no such socket\n", path);
    static const char *const verbs[] = {"status",  "top",      "reload", "events",
                                        "history", "shutdown", "version"};
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        expect_run(3, "-s", path, verbs[i], NULL);
        expect_output("reloaderctl: no master answers:\n");
        expect_output(where);
        expect_output("RELOADER_CONTROL");
    }
}

static int listen_here(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void test_stale_socket(UNUSED void **state)
{
    (void)close(listen_here());
    expect_run(3, "-s", path, "status", NULL);
    expect_output("nobody listens there any more");
    (void)unlink(path);
}

/* Not a master: it says something else and hangs up. */
static void test_another_server(UNUSED void **state)
{
    int fd = listen_here(), out;
    char *argv[] = {getenv("RELOADERCTL"), (char *)"-s", path, (char *)"status", NULL};
    pid_t pid = start(argv, &out);
    int client = accept(fd, NULL, NULL);
    assert_int_equal(write(client, "220 smtp\r\n", 11), 11);
    expect_exit(finish(pid, out), 3);
    expect_output("is not a reloader master");
    (void)close(client);
    (void)close(fd);
    (void)unlink(path);
}

static void test_signal(UNUSED void **state)
{
    serve("commit");
    expect_run(1, "-s", path, "signal", "usr1", "web", NULL);
    expect_output("web/0: SIGUSR1 sent to pid 4010\n");
    expect_output("web:1: not running\n");
    expect_run(0, "-s", path, "signal", "-9", "web", "--group", "-q", NULL);
    assert_string_equal(output, "");
    expect_run(1, "-s", path, "signal", "HUP", "nobody", NULL);
    expect_output("there is no program, group or worker 'nobody'");
    expect_run(1, "-s", path, "signal", "HUP", "web:9", NULL);
    expect_run(1, "-s", path, "signal", "TERM", "web", "--json", NULL);
    expect_output("{\"results\":[{\"program\":\"web\",\"slot\":0,\"name\":\"web/0\",\"pid\":4015");
    expect_run(2, "-s", path, "signal", "TREM", "web", NULL);
    expect_output("'TREM' is no signal");
    expect_run(2, "-s", path, "signal", "TERM", NULL);
}

static void test_errors_as_json(UNUSED void **state)
{
    serve("commit");
    expect_run(1, "-s", path, "stop", "nobody", "--json", NULL);
    expect_output("{\"error\":\"NoSuchProgram\",\"message\":\"there is no program");
    expect_run(2, "stop", "--json", NULL);
    expect_output("{\"message\":\"what? ");
    expect_run(2, "--json", "nonsense", NULL);
    expect_output("{\"message\":\"unknown command 'nonsense'");
    expect_run(3, "-s", "/nowhere", "status", "--json", NULL);
    expect_output("{\"message\":\"no master answers:\\n");
}

static void test_watched_status(UNUSED void **state)
{
    serve("commit");
    expect_run(0, "-s", path, "status", "-w", "-n", "2", "-d", "0.1", NULL);
    const char *first = strstr(output, "4 of 4 ready");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "4 of 4 ready"));
    expect_run(0, "-s", path, "status", "-w", "-n", "2", "-d", "0.1", "--json", NULL);
    assert_int_equal(output[0], '{');
    assert_non_null(strstr(output, "}\n{"));
}

static void test_sockets(UNUSED void **state)
{
    serve("commit");
    expect_run(0, "-s", path, "sockets", NULL);
    expect_output("LISTENER  ADDRESS         INODE  QUEUE  BACKLOG  DROPS  USED BY\n"
                  "web       127.0.0.1:7000  81234      3     4096      2  web:0-2,5 api:0 "
                  "(jobs)\n");
    expect_run(0, "-s", path, "sockets", "--json", NULL);
    expect_output("\"inode\": 81234");
}

static void test_usage(UNUSED void **state)
{
    expect_run(2, "reloda", NULL);
    expect_output("unknown command 'reloda'");
    expect_output("`reloaderctl --help` lists them");
    expect_run(2, "incr", "web", NULL);
    expect_output("unknown command 'incr'; `reloaderctl scale NAME +1` does that");
    expect_run(2, "upgrade", NULL);
    expect_output("'upgrade' is not in this version");
    expect_run(2, "undo", "--dry-run", NULL);
    expect_output("undo does not take --dry-run");
    expect_run(2, "check", "one", "two", NULL);
    expect_run(2, "status", "--force", NULL);
    expect_output("status does not take --force");
    expect_run(2, "version", "x", NULL);
    expect_run(2, "--nonsense", NULL);
    expect_output("there is no option --nonsense");
    expect_run(2, "tail", "web", "-n", NULL);
    expect_output("-n needs a value; `reloaderctl help tail`");
    expect_run(2, "reload", "--dry-run=no", NULL);
    expect_output("--dry-run takes no value");
    expect_run(2, NULL, NULL);
    expect_run(0, "--help", NULL);
    expect_output("reload [PROGRAM...] [--no-wait] [--dry-run]");
    expect_run(0, "help", "logs", NULL);
    expect_output("tail NAME [stdout|stderr] [-f] [-n LINES] [--json]\n");
    expect_output("also called: logs\n");
    expect_run(0, "stop", "--help", NULL);
    expect_output("nobody drains");
    expect_run(2, "help", "nonsense", NULL);
    expect_run(0, "--list-commands", NULL);
    expect_output("\n{\"name\":\"check\",\"aliases\":[\"reread\"],\"arguments\":\"[FILE]\"");
    expect_output("\"places\":[\"name\",\"stream\"]");
    expect_run(0, "-V", NULL);
    assert_string_equal(output, "reloaderctl " RELOADER_VERSION "\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_status, end_master),
        cmocka_unit_test_teardown(test_status_not_ready, end_master),
        cmocka_unit_test_teardown(test_top, end_master),
        cmocka_unit_test_teardown(test_socket_by_environment, end_master),
        cmocka_unit_test_teardown(test_reload_commits, end_master),
        cmocka_unit_test_teardown(test_reload_fails, end_master),
        cmocka_unit_test_teardown(test_reload_refused, end_master),
        cmocka_unit_test_teardown(test_master_dies_in_a_reload, end_master),
        cmocka_unit_test_teardown(test_events_and_shutdown, end_master),
        cmocka_unit_test_teardown(test_events_of_a_wrong_type, end_master),
        cmocka_unit_test_teardown(test_events_from_earlier_on, end_master),
        cmocka_unit_test_teardown(test_send, end_master),
        cmocka_unit_test_teardown(test_history, end_master),
        cmocka_unit_test_teardown(test_signal, end_master),
        cmocka_unit_test_teardown(test_sockets, end_master),
        cmocka_unit_test_teardown(test_errors_as_json, end_master),
        cmocka_unit_test_teardown(test_watched_status, end_master),
        cmocka_unit_test_teardown(test_why, end_master),
        cmocka_unit_test(test_no_master),
        cmocka_unit_test(test_stale_socket),
        cmocka_unit_test(test_another_server),
        cmocka_unit_test(test_usage),
    };
    if (!getenv("RELOADERCTL") || !getenv("FAKE_MASTER")) {
        (void)fputs("set RELOADERCTL and FAKE_MASTER to the programs (meson does)\n", stderr);
        return 1;
    }
    (void)unsetenv("RELOADER_CONTROL");
    if (!mkdtemp(directory))
        return 1;
    (void)snprintf(path, sizeof(path), "%s/control.sock", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    (void)rmdir(directory);
    return failed;
}
