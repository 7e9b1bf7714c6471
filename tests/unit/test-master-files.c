/* pid-file.c, the runtime-directory.c and log-settings.c of the master: what is taken, what is refused, and what is left alone. */
#include "live.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/master.h"
#include "master/pid-file.h"
#include "master/runtime-directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char *directory;
    char *path; /* in it; nothing is there yet */
    char *error;
    int fd;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = live_make_directory();
    fixture->path = string_format("%s/x", fixture->directory);
    fixture->fd = -1;
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)fd_close(fixture->fd);
    live_remove_directory(fixture->directory);
    free(fixture->path);
    free(fixture->error);
    free(fixture);
    return 0;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void expect_content(const char *path, const char *wanted)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    assert_int_equal(fd_read_file(path, 4096, &text, &size), 0);
    assert_string_equal(text, wanted);
}

static char *own_line(void)
{
    return string_format("%d\n", (int)getpid());
}

/* pid_file */

static void test_pid_file(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;
    CLEANUP_FREE char *line = own_line();
    mode_t before = umask(022);
    assert_int_equal(pid_file_create(fixture->path, &fixture->fd, &fixture->error), 0);
    (void)umask(before);
    expect_content(fixture->path, line);
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_true(fcntl(fixture->fd, F_GETFD) & FD_CLOEXEC);
    fixture->fd = pid_file_remove(fixture->path, fixture->fd);
    assert_int_equal(fixture->fd, -1);
    assert_false(exists(fixture->path));
}

static void test_stale_pid_file(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *line = own_line();
    live_write_file(fixture->directory, "x", "123456789012345678901234567890\nand more\n");
    assert_int_equal(pid_file_create(fixture->path, &fixture->fd, &fixture->error), 0);
    expect_content(fixture->path, line);
}

static void test_pid_file_of_another_master(void **state)
{
    struct fixture *fixture = *state;
    live_write_file(fixture->directory, "x", "4711\n");
    CLEANUP_FD int other = open(fixture->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    unsigned before = live_count_fds();
    assert_int_equal(pid_file_create(fixture->path, &fixture->fd, &fixture->error), -EBUSY);
    assert_non_null(strstr(fixture->error, "pid 4711"));
    assert_non_null(strstr(fixture->error, fixture->path));
    assert_int_equal(fixture->fd, -1);
    assert_int_equal(live_count_fds(), before);
    expect_content(fixture->path, "4711\n");
    /* The lock counts, not the pid. */
    assert_int_equal(flock(other, LOCK_UN), 0);
    assert_int_equal(pid_file_create(fixture->path, &fixture->fd, &(char *){NULL}), 0);
}

static void test_pid_file_without_a_pid(void **state)
{
    struct fixture *fixture = *state;
    live_write_file(fixture->directory, "x", "");
    CLEANUP_FD int other = open(fixture->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(pid_file_create(fixture->path, &fixture->fd, &fixture->error), -EBUSY);
    assert_non_null(strstr(fixture->error, "pid unknown"));
}

static void expect_refused(struct fixture *fixture, int error)
{
    free(fixture->error);
    fixture->error = NULL;
    assert_int_equal(pid_file_create(fixture->path, &fixture->fd, &fixture->error), error);
    assert_true(string_starts_with(fixture->error, fixture->path));
    assert_int_equal(fixture->fd, -1);
}

static void test_what_is_no_file(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *target = string_format("%s/target", fixture->directory);
    live_write_file(fixture->directory, "target", "precious\n");
    assert_int_equal(symlink("target", fixture->path), 0);
    expect_refused(fixture, -ELOOP);
    expect_content(target, "precious\n");
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(symlink("nothing", fixture->path), 0);
    expect_refused(fixture, -ELOOP);
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    expect_refused(fixture, -ENOTSUP);
    assert_true(exists(fixture->path));
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    expect_refused(fixture, -EISDIR);
    free(fixture->path);
    fixture->path = string_format("%s/none/x", fixture->directory);
    expect_refused(fixture, -ENOENT);
}

/* A pid file that cannot be written leaves nothing behind that looks like one. */
static void test_no_room(void **state)
{
    struct fixture *fixture = *state;
    int status;
    pid_t pid = live_fork();
    if (pid == 0) {
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){0, 0});
        _exit(pid_file_create(fixture->path, &fixture->fd, &fixture->error) == -EFBIG ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_false(exists(fixture->path));
}

static void test_only_ours_is_removed(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(pid_file_create(fixture->path, &fixture->fd, &fixture->error), 0);
    assert_int_equal(unlink(fixture->path), 0);
    live_write_file(fixture->directory, "x", "4711\n");
    fixture->fd = pid_file_remove(fixture->path, fixture->fd);
    expect_content(fixture->path, "4711\n");
    assert_int_equal(pid_file_remove(fixture->path, -1), -1);
    expect_content(fixture->path, "4711\n");
}

/* runtime_directory */

static void expect_directory(struct fixture *fixture, int result, const char *words)
{
    free(fixture->error);
    fixture->error = NULL;
    assert_int_equal(runtime_directory_prepare(fixture->path, (uid_t)-1, &fixture->error), result);
    if (words && !strstr(fixture->error, words))
        fail_msg("'%s' does not say '%s'", fixture->error, words);
}

static void test_directory_is_made(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;
    mode_t before = umask(0);
    expect_directory(fixture, 1, NULL);
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, geteuid() == 0 ? 0711 : 0700);
    assert_int_equal(rmdir(fixture->path), 0);
    (void)umask(0777);
    expect_directory(fixture, 1, NULL);
    (void)umask(before);
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, geteuid() == 0 ? 0711 : 0700);
    /* One that is there is taken as it is. */
    assert_int_equal(chmod(fixture->path, 0750), 0);
    expect_directory(fixture, 0, NULL);
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
}

static void test_directory_others_may_write_to(void **state)
{
    static const mode_t modes[] = {0702, 0720, 01777};
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        assert_int_equal(chmod(fixture->path, modes[i]), 0);
        expect_directory(fixture, -EPERM, "others may write to it");
    }
}

static void test_directory_of_another_user(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0) {
        print_message("skipped: only root can give a directory away\n");
        skip();
    }
    assert_int_equal(mkdir(fixture->path, 0711), 0);
    assert_int_equal(chown(fixture->path, 65534, 0), 0);
    expect_directory(fixture, -EPERM, "belongs to user 65534");
}

static void test_what_is_no_directory(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(symlink(fixture->directory, fixture->path), 0);
    expect_directory(fixture, -ENOTDIR, "is a symbolic link");
    assert_int_equal(unlink(fixture->path), 0);
    live_write_file(fixture->directory, "x", "");
    expect_directory(fixture, -ENOTDIR, "is no directory");
    free(fixture->path);
    fixture->path = string_format("%s/none/x", fixture->directory);
    expect_directory(fixture, -ENOENT, "cannot make it");
}

static void bind_in(const char *directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static bool is_in(const char *directory, const char *name)
{
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    return exists(path);
}

static char *make_notify_directory(const char *parent, const char *prefix, pid_t pid,
                                   const char *suffix)
{
    char *path = string_format("%s/%s%d%s", parent, prefix, (int)pid, suffix);
    assert_int_equal(mkdir(path, 0700), 0);
    bind_in(path, "1");
    return path;
}

static void test_left_over_directories(void **state)
{
    struct fixture *fixture = *state;
    pid_t gone = live_fork();
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    const char *parent = fixture->directory;
    CLEANUP_FREE char *stale = make_notify_directory(parent, "notify-", gone, "");
    CLEANUP_FREE char *own = make_notify_directory(parent, "notify-", getpid(), "");
    CLEANUP_FREE char *living = make_notify_directory(parent, "notify-", getppid(), "");
    CLEANUP_FREE char *odd = make_notify_directory(parent, "notify-", gone, "x");
    CLEANUP_FREE char *other = make_notify_directory(parent, "notes-", gone, "");

    CLEANUP_FREE char *notify = NULL;
    assert_int_equal(runtime_directory_prepare_notify(parent, &notify, &fixture->error), 0);
    assert_string_equal(notify, own);
    assert_false(is_in(own, "1"));
    assert_int_equal(access(stale, F_OK), -1);
    assert_true(is_in(living, "1"));
    assert_true(is_in(odd, "1"));
    assert_true(is_in(other, "1"));
    live_remove_directory(strdup(own));
    live_remove_directory(strdup(living));
    live_remove_directory(strdup(odd));
    live_remove_directory(strdup(other));
}

static void test_left_over_with_a_file_stays(void **state)
{
    struct fixture *fixture = *state;
    pid_t gone = live_fork();
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    CLEANUP_FREE char *stale = make_notify_directory(fixture->directory, "notify-", gone, "");
    CLEANUP_FREE char *notify = NULL;
    live_write_file(stale, "notes", "");
    assert_int_equal(runtime_directory_prepare_notify(fixture->directory, &notify, &fixture->error),
                     0);
    assert_false(is_in(stale, "1"));
    assert_true(is_in(stale, "notes"));
    live_remove_directory(strdup(stale));
    live_remove_directory(strdup(notify));
}

static void test_notify_directory_is_checked(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *directory =
        string_format("%s/notify-%d", fixture->directory, (int)getpid());
    CLEANUP_FREE char *notify = NULL;
    assert_int_equal(symlink("/tmp", directory), 0);
    assert_int_equal(runtime_directory_prepare_notify(fixture->directory, &notify, &fixture->error),
                     -ENOTDIR);
    assert_null(notify);
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A log that cannot be opened at a reload: it goes on as before, in level and format as well. */
static void test_log_settings_all_or_none(void **state UNUSED)
{
    struct config config = {
        .identifier = (char[]){"test"},
        .log = {.level = LOG_LEVEL_ERROR,
                .format = CONFIG_LOG_JSON,
                .file = (char[]){"/nonexistent/log"}},
    };
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(master_apply_log(&config, false, &error), -ENOENT);
    assert_string_equal(error, "log.file: cannot open /nonexistent/log: No such file or directory");
    assert_int_equal(log_get_level(), LOG_LEVEL_INFO);
    assert_int_equal(log_get_format(), LOG_FORMAT_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(test_pid_file),
        A_TEST(test_stale_pid_file),
        A_TEST(test_pid_file_of_another_master),
        A_TEST(test_pid_file_without_a_pid),
        A_TEST(test_what_is_no_file),
        A_TEST(test_no_room),
        A_TEST(test_only_ours_is_removed),
        A_TEST(test_directory_is_made),
        A_TEST(test_directory_others_may_write_to),
        A_TEST(test_directory_of_another_user),
        A_TEST(test_what_is_no_directory),
        A_TEST(test_left_over_directories),
        A_TEST(test_left_over_with_a_file_stays),
        A_TEST(test_notify_directory_is_checked),
        cmocka_unit_test(test_log_settings_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
