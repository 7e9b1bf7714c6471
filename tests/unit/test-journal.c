/*
 * test-journal.c - records as journald reads them, and a journald that does not.
 */
#include "base/fd.h"
#include "base/journal.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void test_serialize(void **state UNUSED)
{
    static const struct journal_field fields[] = {
        {"MESSAGE", "two\nlines"}, {"PRIORITY", "6"}, {"EMPTY", ""}};
    static const char expected[] = "MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY=6\nEMPTY=\n";
    char buffer[sizeof(expected) + 8];
    size_t size = sizeof(expected) - 1;
    assert_int_equal(journal_serialize(fields, 3, buffer, sizeof(buffer)), size);
    assert_memory_equal(buffer, expected, size);
    assert_int_equal(journal_serialize(fields, 3, buffer, size), size);
    for (size_t less = 0; less < size; less++)
        assert_int_equal(journal_serialize(fields, 3, buffer, less), 0);
    assert_int_equal(journal_serialize(fields, 0, buffer, sizeof(buffer)), 0);
}

struct journald {
    char folder[64], path[128];
    int fd;
};

static int set_up(void **state)
{
    static struct journald journald;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(journald.folder, "/tmp/test-journal-XXXXXX");
    if (!mkdtemp(journald.folder))
        return -1;
    (void)snprintf(journald.path, sizeof(journald.path), "%s/socket", journald.folder);
    strcpy(address.sun_path, journald.path);
    journald.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(journald.fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        log_set_journal(journald.path, "me") < 0)
        return -1;
    log_set_format(LOG_FORMAT_JOURNAL);
    *state = &journald;
    return 0;
}

static int tear_down(void **state)
{
    struct journald *journald = *state;
    log_set_format(LOG_FORMAT_TEXT);
    (void)fd_close(journald->fd);
    (void)unlink(journald->path);
    return rmdir(journald->folder);
}

/* The next record; NULL: none. Static storage. */
static const char *receive(struct journald *journald)
{
    static char record[16384];
    ssize_t n = recv(journald->fd, record, sizeof(record) - 1, 0);
    if (n < 0)
        return NULL;
    record[n] = '\0';
    return record;
}

static void test_fields(void **state)
{
    log_about((struct log_subject){.program = "web",
                                   .worker = "web/0",
                                   .slot = 0,
                                   .generation = 3,
                                   .pid = 4711,
                                   .reload = 7},
              LOG_LEVEL_WARNING, "died\n\x1b[2J");
    assert_string_equal(receive(*state),
                        "MESSAGE=web/0: died??[2J\nPRIORITY=4\nSYSLOG_IDENTIFIER=me\n"
                        "RELOADER_PROGRAM=web\nRELOADER_WORKER=web/0\nRELOADER_SLOT=0\n"
                        "RELOADER_GENERATION=3\nRELOADER_WORKER_PID=4711\nRELOADER_RELOAD=7\n");
    log_error("bad");
    assert_string_equal(receive(*state), "MESSAGE=bad\nPRIORITY=3\nSYSLOG_IDENTIFIER=me\n");
    log_debug("not wanted");
    assert_null(receive(*state));
}

/* Its queue is full: nobody waits, what was lost is counted and said once there is room again. */
static void test_journald_does_not_read(void **state)
{
    enum { LINES = 2000 };
    unsigned received = 0, lost = 0;
    const char *record;
    for (int i = 0; i < LINES; i++)
        log_info("line %d", i);
    while (receive(*state))
        received++;
    assert_true(received > 0 && received < LINES);
    log_info("here again");
    record = receive(*state);
    assert_non_null(record);
    assert_int_equal(sscanf(record, "MESSAGE=%u log lines were lost", &lost), 1);
    assert_int_equal(received + lost, LINES);
    assert_non_null(strstr(receive(*state), "MESSAGE=here again\n"));
}

/* Nobody is there: the lines go to standard error. */
static void test_no_journald(void **state)
{
    struct journald *journald = *state;
    int pipe_fds[2];
    char line[256] = "";
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    log_set_stderr(pipe_fds[1]);
    journald->fd = fd_close(journald->fd);
    log_info("hello");
    log_set_stderr(STDERR_FILENO);
    assert_true(read(pipe_fds[0], line, sizeof(line) - 1) > 0);
    assert_non_null(strstr(line, " info hello\n"));
    (void)fd_close(pipe_fds[0]);
    (void)fd_close(pipe_fds[1]);
}

static void test_errors(void **state)
{
    struct journald *journald = *state;
    CLEANUP_FD int fd = journal_open();
    static char large[1 << 20];
    assert_int_equal(journal_send(fd, journald->path, large, sizeof(large)), -EMSGSIZE);
    assert_int_equal(journal_send(fd, "/nowhere", "A=B\n", 4), -ENOENT);
    while (journal_send(fd, journald->path, "A=B\n", 4) == 0)
        ;
    assert_int_equal(journal_send(fd, journald->path, "A=B\n", 4), -EAGAIN);
}

static void test_stream(void **state UNUSED)
{
    struct stat st;
    char text[64];
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(fstat(fds[0], &st), 0);
    (void)unsetenv("JOURNAL_STREAM");
    assert_false(journal_is_behind(fds[0]));
    (void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    (void)setenv("JOURNAL_STREAM", text, 1);
    assert_true(journal_is_behind(fds[0]));
    assert_false(journal_is_behind(fds[1]));
    (void)setenv("JOURNAL_STREAM", "nonsense", 1);
    assert_false(journal_is_behind(fds[0]));
    (void)fd_close(fds[0]);
    (void)fd_close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serialize),
        cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_journald_does_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_journald, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
