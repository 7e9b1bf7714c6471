/*
 * test-log.c - one event is one line, whole or counted as lost, and readable by whoever reads it.
 */
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#define TIME_SIZE (sizeof("2024-05-06T07:08:09.123Z") - 1)

struct fixture {
    char folder[64];
    char path[128];
    char moved[128];
};

static int set_up(void **state)
{
    static struct fixture fixture;
    strcpy(fixture.folder, "/tmp/test-log-XXXXXX");
    if (!mkdtemp(fixture.folder))
        return -1;
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/log", fixture.folder);
    (void)snprintf(fixture.moved, sizeof(fixture.moved), "%s/log.1", fixture.folder);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    (void)log_set_file(NULL);
    log_set_format(LOG_FORMAT_TEXT);
    log_set_level(LOG_LEVEL_INFO);
    (void)unlink(f->path);
    (void)unlink(f->moved);
    return rmdir(f->folder);
}

static char *read_log(const char *path)
{
    char *data = NULL;
    size_t size;
    assert_int_equal(fd_read_file(path, 1 << 20, &data, &size), 0);
    return data;
}

/* Empties the log, writes one line and returns it without its newline. */
static char *one_line(struct fixture *f, const char *text)
{
    assert_int_equal(truncate(f->path, 0), 0);
    log_info("%s", text);
    char *line = read_log(f->path);
    size_t length = strlen(line);
    assert_true(length > 0 && length <= PIPE_BUF);
    assert_int_equal(line[length - 1], '\n');
    line[length - 1] = '\0';
    assert_null(strchr(line, '\n'));
    return line;
}

static void test_a_line(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    errno = EXDEV;
    log_warning("web/%d: %s", 0, "up");
    assert_int_equal(errno, EXDEV);
    CLEANUP_FREE char *line = read_log(f->path);
    unsigned number;
    char zone;
    assert_int_equal(sscanf(line, "%u-%u-%uT%u:%u:%u.%3u%c", &number, &number, &number, &number,
                            &number, &number, &number, &zone),
                     8);
    assert_int_equal(zone, 'Z');
    assert_string_equal(line + TIME_SIZE, " warning web/0: up\n");
}

static void test_levels(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_TRACE; level++) {
        enum log_level parsed;
        const char *name = log_level_to_string((enum log_level)level);
        assert_int_equal(log_level_from_string(name, &parsed), 0);
        assert_int_equal(parsed, level);
        log_set_level((enum log_level)level);
        assert_int_equal(log_get_level(), level);
        assert_int_equal(truncate(f->path, 0), 0);
        log_error("a");
        log_warning("b");
        log_info("c");
        log_debug("d");
        log_trace("e");
        CLEANUP_FREE char *lines = read_log(f->path);
        int n = 0;
        for (const char *c = lines; (c = strchr(c, '\n')); c++)
            n++;
        assert_int_equal(n, level + 1);
    }
    enum log_level untouched = LOG_LEVEL_DEBUG;
    assert_int_equal(log_level_from_string("notice", &untouched), -EINVAL);
    assert_int_equal(log_level_from_string("", &untouched), -EINVAL);
    assert_int_equal(untouched, LOG_LEVEL_DEBUG);
}

static void expect_text(struct fixture *f, const char *text, const char *expected)
{
    CLEANUP_FREE char *line = one_line(f, text);
    assert_string_equal(line + TIME_SIZE, expected);
}

static void test_no_terminal_is_steered(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    expect_text(f, "a\nb\tc", " info a?b\tc");
    expect_text(f, "\x1b[2J\x7f", " info ?[2J?");
    expect_text(f, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
                " info gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    expect_text(f,
                "C1 \xc2\x9b"
                "2J",
                " info C1 ??2J");
    expect_text(f, "stray \xff \x80 \xc3", " info stray ? ? ?");
    expect_text(f, "overlong \xc0\xaf \xe0\x80\xaf", " info overlong ?? ???");
    expect_text(f, "surrogate \xed\xa0\x80 beyond \xf4\x90\x80\x80",
                " info surrogate ??? beyond ????");
    expect_text(f, "quoted \"\\\"", " info quoted \"\\\"");
}

static void expect_json(struct fixture *f, const char *text, const char *expected)
{
    CLEANUP_FREE char *line = one_line(f, text);
    json_error_t error;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        fail_msg("%s: %s", error.text, line);
    assert_string_equal(json_string_value(json_object_get(object, "message")), expected);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "info");
    assert_int_equal(strlen(json_string_value(json_object_get(object, "time"))), TIME_SIZE);
    json_decref(object);
}

static void test_json(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    log_set_format(LOG_FORMAT_JSON);
    expect_json(f, "plain", "plain");
    expect_json(f, "\"quoted\" \\ back", "\"quoted\" \\ back");
    expect_json(f, "a\nb\x1b\x7f", "a\nb\x1b\x7f");
    expect_json(f, "\xc3\xbc\xff\xc3", "\xc3\xbc??");
}

static void log_about_everything(void)
{
    const struct log_subject subject = {.program = "we\"b",
                                        .worker = "web/0",
                                        .slot = 0,
                                        .generation = 3,
                                        .pid = 4711,
                                        .reload = 7};
    log_about(subject, LOG_LEVEL_INFO, "up, pid %d", 4711);
}

static void test_subject(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    log_about_everything();
    log_about((struct log_subject){.program = "web"}, LOG_LEVEL_INFO, "committed");
    log_about((struct log_subject){.reload = 7}, LOG_LEVEL_INFO, "reload 7 began");
    log_about((struct log_subject){.program = "web"}, LOG_LEVEL_DEBUG, "not wanted");
    CLEANUP_FREE char *lines = read_log(f->path);
    assert_non_null(strstr(lines, " info web/0: up, pid 4711\n"));
    assert_non_null(strstr(lines, " info web: committed\n"));
    assert_non_null(strstr(lines, " info reload 7 began\n"));
    assert_null(strstr(lines, "not wanted"));
}

static void test_subject_as_json(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    log_set_format(LOG_FORMAT_JSON);
    log_about_everything();
    CLEANUP_FREE char *line = read_log(f->path);
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL), *expected;
    assert_non_null(object);
    (void)json_object_del(object, "time");
    expected = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:s}", "level", "info", "program",
                         "we\"b", "worker", "web/0", "slot", 0, "generation", 3, "pid", 4711,
                         "reload", 7, "message", "web/0: up, pid 4711");
    assert_true(json_equal(object, expected));
    json_decref(object);
    json_decref(expected);
    assert_int_equal(truncate(f->path, 0), 0);
    log_about((struct log_subject){.program = "web"}, LOG_LEVEL_INFO, "x");
    CLEANUP_FREE char *short_line = read_log(f->path);
    object = json_loads(short_line, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(object), 4);
    json_decref(object);
}

/* Whatever is cut off, the line ends well. */
static void test_long_lines_are_cut(void **state)
{
    struct fixture *f = *state;
    static const char *const units[] = {"x",        "\"",           "\n",
                                        "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    assert_int_equal(log_set_file(f->path), 0);
    for (size_t unit = 0; unit < ARRAY_SIZE(units); unit++)
        for (size_t shift = 0; shift < 8; shift++) {
            char text[3 * PIPE_BUF] = "";
            memset(text, '.', shift);
            for (size_t n = shift; n + 8 < sizeof(text); n += strlen(units[unit]))
                memcpy(text + n, units[unit], strlen(units[unit]) + 1);
            log_set_format(LOG_FORMAT_TEXT);
            CLEANUP_FREE char *line = one_line(f, text);
            assert_true(strlen(line) > PIPE_BUF - 100);
            log_set_format(LOG_FORMAT_JSON);
            CLEANUP_FREE char *json = one_line(f, text);
            json_t *object = json_loads(json, 0, NULL);
            assert_non_null(object);
            json_decref(object);
            assert_true(strlen(json) > PIPE_BUF - 100);
        }
}

static void test_reopening(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_reopen(), 0);
    assert_int_equal(log_get_fd(), STDERR_FILENO);
    assert_int_equal(log_set_file(f->path), 0);
    log_info("before");
    assert_int_equal(rename(f->path, f->moved), 0);
    log_info("between");
    assert_int_equal(log_reopen(), 0);
    log_info("after");
    CLEANUP_FREE char *old = read_log(f->moved), *new = read_log(f->path);
    assert_non_null(strstr(old, "before"));
    assert_non_null(strstr(old, "between"));
    assert_null(strstr(old, "after"));
    assert_non_null(strstr(new, "after"));
    assert_true(fcntl(log_get_fd(), F_GETFD) & FD_CLOEXEC);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
}

static void test_a_failure_changes_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    int fd = log_get_fd();
    assert_int_equal(log_set_file("/nowhere/at/all"), -ENOENT);
    assert_int_equal(log_set_file(f->folder), -EISDIR);
    assert_int_equal(log_get_fd(), fd);
    log_info("still here");
    CLEANUP_FREE char *line = read_log(f->path);
    assert_non_null(strstr(line, "still here"));
}

/* The other end of a pipe reads nothing for a while: we never wait, and say what was lost. */
static void test_nobody_reads(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(log_set_file(f->path), -ENXIO);
    CLEANUP_FD int reader = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(log_set_file(f->path), 0);
    assert_int_equal(fd_set_nonblocking(log_get_fd(), false), 0);

    enum { LINES = 3000 };
    for (int i = 0; i < LINES; i++)
        log_info("line %d of a worker that has a lot to say: %0200d", i, i);
    static char data[1 << 20];
    ssize_t n = read(reader, data, sizeof(data) - 1);
    assert_true(n > 0);
    data[n] = '\0';
    unsigned long written = 0, lost = 0;
    for (const char *c = data; (c = strchr(c, '\n')); c++)
        written++;
    assert_int_equal(data[n - 1], '\n');
    assert_true(written < LINES);

    log_info("here again");
    n = read(reader, data, sizeof(data) - 1);
    assert_true(n > 0);
    data[n] = '\0';
    assert_int_equal(sscanf(data + TIME_SIZE, " warning %lu log lines were lost", &lost), 1);
    assert_int_equal(written + lost, LINES);
    assert_non_null(strstr(data, " info here again\n"));
    log_info("and again");
    n = read(reader, data, sizeof(data) - 1);
    assert_true(n > 0);
    data[n] = '\0';
    assert_null(strstr(data, "lost"));
}

static void test_a_full_disk(void **state UNUSED)
{
    assert_int_equal(log_set_file("/dev/full"), 0);
    errno = EXDEV;
    log_info("nowhere to go");
    assert_int_equal(errno, EXDEV);
    assert_int_equal(log_set_file(NULL), 0);
}

static void test_limit(void **state UNUSED)
{
    struct log_limit limit = {.interval_usec = USEC_INFINITY, .burst = 3};
    unsigned suppressed = 77;
    for (int i = 0; i < 3; i++) {
        assert_true(log_limit_pass(&limit, &suppressed));
        assert_int_equal(suppressed, 0);
    }
    suppressed = 77;
    for (int i = 0; i < 5; i++)
        assert_false(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 77);
    limit.interval_usec = 0;
    assert_true(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 5);
    assert_true(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 0);
}

/* Rotation */

static void count_up(void *userdata)
{
    ++*(unsigned *)userdata;
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0 ? -1 : st.st_size;
}

static unsigned count_in(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static void test_rotation(void **state)
{
    struct fixture *f = *state;
    unsigned rotated = 0;
    assert_int_equal(log_set_file(f->path), 0);
    log_set_rotation(200, 1);
    log_on_rotated(count_up, &rotated);
    assert_int_equal(log_get_max_size(), 200);
    for (unsigned i = 0; i < 100; i++) {
        log_info("line %u", i);
        assert_true(size_of(f->path) <= 200);
    }
    assert_true(rotated > 10);
    CLEANUP_FREE char *last = read_log(f->path), *before = read_log(f->moved);
    assert_non_null(strstr(last, "line 99\n"));
    assert_true(strlen(before) <= 200 && before[strlen(before) - 1] == '\n');
    /* Others fill it as well. */
    unsigned until_now = rotated;
    assert_int_equal(truncate(f->path, 199), 0);
    log_rotate();
    assert_int_equal(rotated, until_now);
    assert_int_equal(truncate(f->path, 200), 0);
    log_rotate();
    assert_int_equal(rotated, until_now + 1);
    assert_int_equal(size_of(f->path), 0);
    assert_int_equal(size_of(f->moved), 200);
    log_set_rotation(0, 0);
    log_on_rotated(NULL, NULL);
}

static void test_rotation_to_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(log_set_file(f->path), 0);
    log_set_rotation(200, 0);
    for (unsigned i = 0; i < 100; i++)
        log_info("line %u", i);
    assert_true(size_of(f->path) <= 200 && size_of(f->moved) < 0);
    log_set_rotation(0, 0);
}

/* In the way of the backup is a directory that is not empty: it is said once for each time that it begins. */
static void test_rotation_that_fails(void **state)
{
    struct fixture *f = *state;
    char inside[160];
    (void)snprintf(inside, sizeof(inside), "%s/x", f->moved);
    assert_int_equal(log_set_file(f->path), 0);
    log_set_rotation(200, 2);
    assert_int_equal(mkdir(f->moved, 0700), 0);
    assert_int_equal(mkdir(inside, 0700), 0);
    char second[160];
    (void)snprintf(second, sizeof(second), "%s/log.2", f->folder);
    assert_int_equal(mkdir(second, 0700), 0);
    for (unsigned i = 0; i < 100; i++)
        log_info("line %u", i);
    CLEANUP_FREE char *text = read_log(f->path);
    assert_int_equal(count_in(text, "cannot rotate "), 1);
    assert_non_null(strstr(text, "line 0\n"));
    assert_non_null(strstr(text, "line 99\n"));
    log_set_rotation(0, 0);
    assert_int_equal(rmdir(inside), 0);
    assert_int_equal(rmdir(f->moved), 0);
    assert_int_equal(rmdir(second), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_terminal_is_steered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_subject, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_subject_as_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_lines_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reopening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failure_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_disk, set_up, tear_down),
        cmocka_unit_test(test_limit),
        cmocka_unit_test_setup_teardown(test_rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rotation_to_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rotation_that_fails, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
