/* What a reload may change in this version, and what it may not. */
#include "config-test.h"

#include "base/strv.h"

static const char base[] = "programs:\n"
                           "  p: {command: x, workers: 2, listen: '70%(process_num)02d'}\n"
                           "  q: {command: y, sockets: [a, b]}\n"
                           "sockets: {a: {listen: 1}, b: {listen: unix:/b}}\n";

static char *refuse_change(const char *from_text, const char *to_text)
{
    struct config *from = load_text(from_text), *to = load_text(to_text);
    char *refusal = config_refuse_change(from, to);
    (void)config_unref(from);
    (void)config_unref(to);
    return refusal;
}

/* `base` with one text in place of another. */
static char *changed(const char *what, const char *by)
{
    char *text = calloc(1, sizeof(base) + strlen(by) + 1);
    const char *at = strstr(base, what);
    assert_non_null(at);
    memcpy(text, base, (size_t)(at - base));
    strcat(text, by);
    strcat(text, at + strlen(what));
    return text;
}

static void assert_change_refused(const char *what, const char *by, const char *part)
{
    CLEANUP_FREE char *text = changed(what, by), *refusal = refuse_change(base, text);
    if (!refusal)
        print_error("%s -> %s is not refused\n", what, by);
    assert_non_null(refusal);
    assert_has(refusal, part);
    assert_has(refusal, "restart of the master");
}

static void assert_change_taken(const char *what, const char *by)
{
    CLEANUP_FREE char *text = changed(what, by), *refusal = refuse_change(base, text);
    if (refusal)
        print_error("%s -> %s: %s\n", what, by, refusal);
    assert_null(refusal);
}

static void test_taken(void **state UNUSED)
{
    assert_change_taken("x", "x");
    assert_change_taken("command: x", "command: z");
    assert_change_taken("workers: 2", "workers: 3");
    assert_change_taken("workers: 2", "workers: 1");
    assert_change_taken("command: x", "command: x, environment: {A: 1}, stop_timeout: 1s");
    assert_change_taken("programs:", "log: {level: debug}\nprograms:");
    assert_change_taken("listen: 1}", "listen: 0.0.0.0:1}");
}

static void test_refused_sockets(void **state UNUSED)
{
    assert_change_refused("listen: 1}", "listen: 2}", "sockets.a.listen changed");
    assert_change_refused("listen: 1}", "listen: 1, backlog: 5}", "sockets.a.backlog changed");
    assert_change_refused("listen: 1}", "listen: 1, nonblocking: true}",
                          "sockets.a.nonblocking changed");
    assert_change_refused("command: y", "command: node", "sockets.a.nonblocking changed");
    assert_change_refused("listen: 1}", "listen: '[::]:1', ipv6_only: true}",
                          "sockets.a.listen changed");
    assert_change_refused("unix:/b", "unix:/b, mode: '0600'", "sockets.b.mode changed");
    assert_change_refused("listen: 1}", "listen: udp:1}", "sockets.a.listen changed");
    assert_change_refused("unix:/b", "unix:/b, owner: 1", "sockets.b.owner changed");
    assert_change_refused("unix:/b", "unix:/b, owner: 0", "sockets.b.owner changed");
    assert_change_refused("unix:/b", "unix:/b, group: 1", "sockets.b.group changed");
    static const char *const options[] = {
        "nodelay: true",       "keepalive: true",   "defer_accept: 1s", "fastopen: 1",
        "freebind: true",      "transparent: true", "device: lo",       "mark: 1",
        "receive_buffer: 64K", "send_buffer: 64K",
    };
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        CLEANUP_FREE char *by = string_format("listen: 1, options: {%s}}", options[i]);
        assert_change_refused("listen: 1}", by, "sockets.a.options changed");
    }
    assert_change_refused("{a: {listen: 1}, ", "{c: {listen: 3}, a: {listen: 1}, ",
                          "socket 'c' was added");
    assert_change_refused("{a: {listen: 1}, b: {listen: unix:/b}}",
                          "{b: {listen: unix:/b}, a: {listen: 1}}", "socket 'b' was moved");
    assert_change_refused("'70%(process_num)02d'", "'71%(process_num)02d'",
                          "sockets.p.listen changed");
    assert_change_refused("workers: 2", "workers: 2, numprocs_start: 1",
                          "sockets.p.listen changed");
}

static void test_ipv6_only(void **state UNUSED)
{
    CLEANUP_FREE char *refusal = refuse_change(
        "sockets: {a: {listen: '[::]:1'}}\nprograms: {p: {command: x}}",
        "sockets: {a: {listen: '[::]:1', ipv6_only: true}}\nprograms: {p: {command: x}}");
    assert_non_null(refusal);
    assert_has(refusal, "sockets.a.ipv6_only changed");
}

static void test_refused_programs(void **state UNUSED)
{
    assert_change_refused("programs:\n", "programs:\n  r: {command: x}\n", "program 'r' was added");
    assert_change_refused("programs:\n", "programs:\n  r: {command: x, listen: 5}\n",
                          "program 'r' was added");
    assert_change_refused("q: {command: y", "r: {command: y", "program 'q' was removed");
    assert_change_refused("[a, b]", "[b, a]", "programs.q.sockets changed");
    assert_change_refused("[a, b]", "[a]", "programs.q.sockets changed");
    assert_change_refused("command: x", "command: x, autostart: false",
                          "programs.p.autostart changed");
    CLEANUP_FREE char *refusal = refuse_change("programs: {a: {command: x}, b: {command: x}}",
                                               "programs: {b: {command: x}, a: {command: x}}");
    assert_has(refusal, "program 'b' was moved");
}

static void test_refused_master(void **state UNUSED)
{
    assert_change_refused("programs:", "pid_file: /x\nprograms:", "pid_file changed");
    assert_change_refused("programs:", "process_title: x\nprograms:", "process_title changed");
    assert_change_refused("programs:", "runtime_directory: /x\ncontrol: {socket: none}\nprograms:",
                          "runtime_directory changed");
    assert_change_refused(
        "programs:", "control: {socket: none}\nprograms:", "control.socket changed");
    assert_change_refused(
        "programs:", "control: {mode: '0666'}\nprograms:", "control.mode changed");
    assert_change_refused("programs:", "control: {owner: 1}\nprograms:", "control.owner changed");
    assert_change_refused(
        "programs:", "control: {group: 0, mode: '0600'}\nprograms:", "control.group changed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),          cmocka_unit_test(test_refused_sockets),
        cmocka_unit_test(test_ipv6_only),      cmocka_unit_test(test_refused_programs),
        cmocka_unit_test(test_refused_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
