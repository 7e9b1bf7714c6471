/* test-backups.c - which backups move when a file becomes the newest of them, and which go. */
#include "base/backups.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"

static int in_directory(void **state UNUSED)
{
    char directory[] = "/tmp/test-backups-XXXXXX";
    return mkdtemp(directory) ? chdir(directory) : -1;
}

static int remove_all(void **state UNUSED)
{
    char name[16];
    (void)unlink("log");
    for (int number = 1; number < 10; number++) {
        (void)snprintf(name, sizeof(name), "log.%d", number);
        (void)unlink(name);
        (void)snprintf(name, sizeof(name), "log.%d.gz", number);
        (void)unlink(name);
    }
    return 0;
}

static int leave(void **state)
{
    CLEANUP_FREE char *directory = getcwd(NULL, 0);
    return directory && remove_all(state) == 0 && chdir("/") == 0 ? rmdir(directory) : -1;
}

/* Each file has its own name in it at first. */
static void make(const char *name)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(name, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_was(const char *name, const char *was)
{
    char text[16] = "";
    FILE *file = fopen(name, "r");
    if (!was) {
        assert_null(file);
        return;
    }
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, was);
}

static void test_first(void **state UNUSED)
{
    make("log");
    assert_int_equal(backups_shift("log", 3), 0);
    assert_was("log", NULL);
    assert_was("log.1", "log");
    assert_was("log.2", NULL);
}

static void test_all_move(void **state UNUSED)
{
    make("log");
    make("log.1");
    make("log.2.gz");
    assert_int_equal(backups_shift("log", 9), 0);
    assert_was("log.1", "log");
    assert_was("log.2", "log.1");
    assert_was("log.3.gz", "log.2.gz");
    assert_was("log.2.gz", NULL);
    assert_was("log.4", NULL);
}

static void test_oldest_goes(void **state UNUSED)
{
    make("log");
    make("log.1");
    make("log.2.gz");
    assert_int_equal(backups_shift("log", 2), 0);
    assert_was("log.1", "log");
    assert_was("log.2", "log.1");
    assert_was("log.2.gz", NULL);
    assert_was("log.3.gz", NULL);
}

static void test_the_only_one(void **state UNUSED)
{
    make("log");
    make("log.1");
    assert_int_equal(backups_shift("log", 1), 0);
    assert_was("log.1", "log");
    assert_was("log.2", NULL);
}

/* Nobody behind it is touched: it costs as much as there are, and not as there may be. */
static void test_gap(void **state UNUSED)
{
    make("log");
    make("log.1");
    make("log.3");
    assert_int_equal(backups_shift("log", 1000000000), 0);
    assert_was("log.1", "log");
    assert_was("log.2", "log.1");
    assert_was("log.3", "log.3");
    assert_was("log.4", NULL);
}

static void test_nothing_to_move(void **state UNUSED)
{
    assert_int_equal(backups_shift("log", 2), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_first, remove_all),
        cmocka_unit_test_teardown(test_all_move, remove_all),
        cmocka_unit_test_teardown(test_oldest_goes, remove_all),
        cmocka_unit_test_teardown(test_the_only_one, remove_all),
        cmocka_unit_test_teardown(test_gap, remove_all),
        cmocka_unit_test_teardown(test_nothing_to_move, remove_all),
    };
    return cmocka_run_group_tests(tests, in_directory, leave);
}
