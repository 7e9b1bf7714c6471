/* Users and groups: from files of our own, and from whoever the C library asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/strv.h"
#include "config/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNKNOWN "no-such-user-of-this-test"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "\n"
                             "# a comment\n"
                             "+nis::::::\n"
                             "short:x:7:7\n"
                             "huge:x:4294967295:7::/:/bin/sh\n"
                             "bad:x:seven:7::/:/bin/sh\n"
                             "alice:x:1000:100:Alice, of course:/home/alice:/bin/zsh\n"
                             "bob:x:1001:101::/home/bob:";
static const char group[] = "root:x:0:\n"
                            "users:x:100:\n"
                            "alice:x:7:bob\n"
                            "video:x:44:bob,alice\n"
                            "audio:x:29:alicea,xalice,alice\n"
                            "almost:x:30:alicea,al\n"
                            "bad:x:x:alice";

static void write_file(const char *directory, const char *name, const char *text)
{
    CLEANUP_FREE char *path = string_format("%s/%s", directory, name);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static int make_directory(void **state)
{
    char *path = strdup("/tmp/test-names-XXXXXX");
    if (!mkdtemp(path))
        return -1;
    write_file(path, "passwd", passwd);
    write_file(path, "group", group);
    *state = path;
    return 0;
}

static int remove_directory(void **state)
{
    CLEANUP_FREE char *users = string_format("%s/passwd", (char *)*state),
                      *groups = string_format("%s/group", (char *)*state);
    int r = unlink(users) + unlink(groups) + rmdir(*state);
    free(*state);
    return r;
}

static void test_files(void **state)
{
    CLEANUP(names_freep) struct names *names = names_new(*state);
    const struct names_user *alice, *bob, *number;
    gid_t gid;
    assert_int_equal(names_find_user(names, "alice", &alice), 0);
    assert_int_equal(names_find_user(names, "bob", &bob), 0);
    assert_int_equal(names_find_user(names, "1000", &number), 0);
    assert_int_equal(alice->uid, 1000);
    assert_int_equal(alice->gid, 100);
    assert_string_equal(alice->home, "/home/alice");
    assert_string_equal(alice->shell, "/bin/zsh");
    assert_int_equal(alice->n_groups, 2);
    assert_int_equal(alice->groups[0], 44);
    assert_int_equal(alice->groups[1], 29);
    assert_string_equal(bob->shell, "");
    assert_int_equal(bob->n_groups, 2);
    assert_string_equal(number->name, "alice");
    assert_int_equal(names_find_group(names, "video", &gid), 0);
    assert_int_equal(gid, 44);
    assert_false(names_are_wanted(names));
}

/* None of these is in the files, for one reason or another. */
static void test_questions(void **state)
{
    static const char *const unknown[] = {"carol", "short", "huge", "bad", "+nis", "ali", "01000"};
    CLEANUP(names_freep) struct names *names = names_new(*state);
    const struct names_user *user;
    gid_t gid;
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
        assert_int_equal(names_find_user(names, unknown[i], &user), -EAGAIN);
    assert_int_equal(names_find_group(names, "bad", &gid), -EAGAIN);
    assert_int_equal(names_find_local_user(names, "2000", &user), -ENOENT);
    assert_true(names_are_wanted(names));
    names_forget(names);
    assert_false(names_are_wanted(names));
}

/* Files that are not there know nobody; the C library knows root, or this is no system that it runs on. */
static void test_asking(void **state UNUSED)
{
    CLEANUP(names_freep) struct names *names = names_new("/nonexistent");
    const struct names_user *root, *other;
    gid_t gid;
    assert_int_equal(names_find_user(names, "root", &root), -EAGAIN);
    assert_int_equal(names_find_user(names, UNKNOWN, &other), -EAGAIN);
    assert_int_equal(names_find_group(names, "daemon", &gid), -EAGAIN);
    assert_int_equal(names_find_group(names, UNKNOWN, &gid), -EAGAIN);
    names_ask_and_wait(names);
    assert_false(names_are_wanted(names));
    assert_int_equal(names_find_user(names, "root", &root), 0);
    assert_int_equal(root->uid, 0);
    assert_string_equal(root->name, "root");
    assert_non_null(root->home);
    assert_true(root->n_groups >= 1);
    assert_int_equal(names_find_user(names, UNKNOWN, &other), -ENOENT);
    assert_int_equal(names_find_group(names, "daemon", &gid), 0);
    assert_int_equal(gid, 1);
    assert_int_equal(names_find_group(names, UNKNOWN, &gid), -ENOENT);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_no_answer(void **state UNUSED)
{
    CLEANUP(names_freep) struct names *names = names_new("/nonexistent");
    const struct names_user *user;
    int fd;
    assert_int_equal(names_find_user(names, "root", &user), -EAGAIN);
    assert_int_equal(names_ask(names, &fd), 0);
    names_give_up(names);
    assert_int_equal(names_find_user(names, "root", &user), -ETIMEDOUT);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    names_forget(names);
    assert_int_equal(names_find_user(names, "root", &user), -EAGAIN);
}

/* Who is still asking goes with what he was asked for. */
static void test_freed_meanwhile(void **state UNUSED)
{
    struct names *names = names_new("/nonexistent");
    const struct names_user *user;
    int fd;
    assert_int_equal(names_find_user(names, "root", &user), -EAGAIN);
    assert_int_equal(names_ask(names, &fd), 0);
    (void)names_free(names);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_questions, make_directory, remove_directory),
        cmocka_unit_test(test_asking),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_freed_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
