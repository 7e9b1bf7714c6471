/* test-why-text.c - what `reloaderctl why` shows of a worker, on terminals of all widths. */
#include "base/clock.h"
#include "base/macros.h"
#include "reloaderctl/why-text.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *connection(const char *peer, json_int_t idle, json_int_t age, const char *state)
{
    return json_pack("{s:s, s:s, s:b, s:[i], s:s, s:s, s:I, s:I, s:i, s:i}", "protocol", "tcp",
                     "state", state, "accepted", 1, "pids", 4711, "local", "127.0.0.1:8080", "peer",
                     peer, "idle_usec", idle, "age_at_least_usec", age, "unread", 0, "unsent", 3);
}

static json_t *worker(const char *name, json_t *connections, json_int_t count)
{
    /* Half a minute from the next minute: what is shown does not depend on how fast the test is. */
    json_int_t since = (json_int_t)(clock_realtime_usec() - (3600 + 210) * USEC_PER_SEC);
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:i, s:i, s:i, s:s, s:s, s:i, s:o, s:I, s:i, s:[{s:i, s:s, s:s}]}",
        "name", name, "state", "DRAINING", "since_usec", since, "reason", "reload", "reload", 7,
        "pid", 4711, "generation", 6, "waits_for", "fully_closed", "limit", "disconnect_timeout",
        "left_usec", 7400000, "connections", connections, "connection_count", count,
        "process_count", 1, "processes", "pid", 4711, "name", "node", "state", "sleeping");
}

static char *print(json_t *view, size_t width, size_t max)
{
    const struct screen screen = {
        .terminal = width != SIZE_MAX, .width = width, .height = SIZE_MAX};
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    why_print_worker(view, max, &screen, stream);
    assert_int_equal(fclose(stream), 0);
    json_decref(view);
    return text;
}

static void test_wide(UNUSED void **state)
{
    json_t *connections = json_array();
    (void)json_array_append_new(connections,
                                connection("127.0.0.1:54321", 1200000, 63000000, "established"));
    (void)json_array_append_new(connections,
                                connection("10.1.2.3:5", 7200000000, 7200000000, "close_wait"));
    CLEANUP_FREE char *text = print(worker("web/0", connections, 2), SIZE_MAX, 10);
    assert_string_equal(
        text,
        "web/0: DRAINING for 1 h 3 min, because of reload 7\n"
        "  waits for fully_closed or its exit; disconnect_timeout in 7.4 s\n"
        "  pid 4711, generation 6, 2 connections\n"
        "    PEER             LOCAL                IDLE          AGE  UNREAD  UNSENT   PID  STATE\n"
        "    127.0.0.1:54321  127.0.0.1:8080      1.2 s  > 1 min 3 s       0       3  4711  open\n"
        "    10.1.2.3:5       127.0.0.1:8080  2 h 0 min  > 2 h 0 min       0       3  4711  left "
        "by peer\n"
        "  processes: 4711 node\n");
}

/* The longest of all, and what is left of it in each width: no line is wider. */
static void test_narrow(UNUSED void **state)
{
    for (size_t width = 20; width <= 140; width += 20) {
        json_t *connections = json_array();
        for (int i = 0; i < 12; i++)
            (void)json_array_append_new(connections,
                                        connection("[2001:db8:1111:2222:3333:4444:5555:6666]:54321",
                                                   7200000000, 86400000000, "close_wait"));
        CLEANUP_FREE char *text = print(
            worker("a-name-of-forty-letters-as-some-people-do", connections, 4222), width, 10);
        bool has_rest = strstr(text, "    and 4,212 more\n"),
             has_peer = strstr(text, "    [2001:db8:1111:2");
        assert_true(has_rest && has_peer);
        char *rest = text;
        for (const char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
            assert_true(text_width(line) <= width);
    }
}

static void test_eighty(UNUSED void **state)
{
    json_t *connections = json_array();
    (void)json_array_append_new(
        connections, connection("192.168.100.200:54321", 1200000, 63000000, "close_wait"));
    CLEANUP_FREE char *text = print(worker("web/0", connections, 1), 80, 10);
    assert_string_equal(
        text, "web/0: DRAINING for 1 h 3 min, because of reload 7\n"
              "  waits for fully_closed or its exit; disconnect_timeout in 7.4 s\n"
              "  pid 4711, generation 6, 1 connection\n"
              "    PEER                    IDLE          AGE  UNREAD  UNSENT  STATE\n"
              "    192.168.100.200:54321  1.2 s  > 1 min 3 s       0       3  left by peer\n"
              "  processes: 4711 node\n");
}

static json_t *unix_connection(const char *peer, int pid)
{
    return json_pack("{s:s, s:s, s:b, s:[i, i], s:s*, s:i}", "protocol", "unix", "state",
                     "established", "accepted", peer == NULL, "pids", 4711, 4712, "peer", peer,
                     "peer_pid", pid);
}

static void test_peers(UNUSED void **state)
{
    json_t *connections = json_array();
    (void)json_array_append_new(connections, unix_connection(NULL, 815));
    (void)json_array_append_new(connections, unix_connection("unix:/run/db.sock", 816));
    (void)json_array_append_new(connections,
                                json_pack("{s:s, s:s, s:s, s:b}", "protocol", "udp", "state",
                                          "established", "peer", "10.0.0.1:53", "accepted", 0));
    (void)json_array_append_new(connections,
                                json_pack("{s:s, s:i}", "state", "established", "unanswered", 3));
    CLEANUP_FREE char *text = print(worker("web/0", connections, 4), SIZE_MAX, 10);
    assert_non_null(strstr(text, "\n    pid 815 "));
    assert_non_null(strstr(text, "  4711+  open\n"));
    assert_non_null(strstr(text, "\n    to unix:/run/db.sock  "));
    assert_non_null(strstr(text, "\n    to udp:10.0.0.1:53    "));
    assert_non_null(strstr(text, "\n    -                     "));
    assert_non_null(strstr(text, "  no answer\n"));
}

/* What a worker calls itself is not to be trusted. */
static void test_trouble(UNUSED void **state)
{
    json_t *view = worker("web/0", json_array(), 0);
    json_t *processes = json_pack(
        "[{s:i, s:s, s:s}, {s:i, s:s, s:s}, {s:i, s:s, s:s}, {s:i, s:s, s:s, s:s}]", "pid", 1,
        "name", "\x1b[2Ja", "state", "stopped", "pid", 2, "name", "b", "state", "traced", "pid", 3,
        "name", "c", "state", "uninterruptible", "pid", 4, "name", "d", "state", "sleeping",
        "unreadable", "Permission denied");
    (void)json_object_set_new(view, "processes", processes);
    (void)json_object_set_new(view, "process_count", json_integer(1234));
    (void)json_object_set_new(view, "message_unread", json_true());
    (void)json_object_set_new(view, "incomplete", json_true());
    CLEANUP_FREE char *text = print(view, SIZE_MAX, 10);
    assert_non_null(strstr(text, "  it has not read yet that it is to leave\n"
                                 "  pid 4711, generation 6, no open connection known\n"
                                 "  processes: 1 ?[2Ja, 2 b, 3 c, 4 d, and 1,230 more\n"
                                 "  ?[2Ja (1) is stopped; `kill -CONT 1` lets it go on\n"
                                 "  b (2) is held by a debugger\n"
                                 "  c (3) waits in the kernel, see /proc/3/stack\n"
                                 "  d (4): its connections are not known: Permission denied\n"));
}

static void test_hidden(UNUSED void **state)
{
    json_t *view = worker("web/0", json_array(), 0);
    (void)json_object_set_new(view, "processes", json_array());
    (void)json_object_set_new(view, "incomplete", json_true());
    CLEANUP_FREE char *text = print(view, SIZE_MAX, 10);
    assert_non_null(strstr(text,
                           "no open connection known\n"
                           "  its processes are hidden from the master (ProtectProc=, hidepid)\n"));
    assert_null(strstr(text, "processes:"));
}

/* A reply that lacks everything is no reason to fall over. */
static void test_nothing(UNUSED void **state)
{
    CLEANUP_FREE char *text = print(json_object(), 80, 10);
    assert_non_null(strstr(text, "waits for nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wide),    cmocka_unit_test(test_eighty),
        cmocka_unit_test(test_narrow),  cmocka_unit_test(test_peers),
        cmocka_unit_test(test_trouble), cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
