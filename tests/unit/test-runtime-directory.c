/* test-runtime-directory.c - where a master is looked for, as root and as an ordinary user. */
#include "base/runtime-directory.h"
#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static void expect_default(const char *wanted)
{
    CLEANUP_FREE char *path = runtime_directory_default();
    assert_string_equal(path, wanted);
    CLEANUP_STRV char **candidates = NULL;
    assert_int_equal(runtime_directory_candidates(&candidates), 0);
    assert_string_equal(candidates[0], wanted);
    assert_string_equal(candidates[strv_length(candidates) - 1], "/run/reloader");
}

static void check_as_user(void)
{
    char in_tmp[64];
    (void)snprintf(in_tmp, sizeof(in_tmp), "/tmp/reloader-%u", geteuid());
    (void)unsetenv("TMPDIR");
    (void)setenv("XDG_RUNTIME_DIR", "/run/user/4711", 1);
    expect_default("/run/user/4711/reloader");
    CLEANUP_STRV char **candidates = NULL;
    assert_int_equal(runtime_directory_candidates(&candidates), 0);
    assert_int_equal(strv_length(candidates), 3);
    assert_string_equal(candidates[1], in_tmp);
    (void)setenv("XDG_RUNTIME_DIR", "relative", 1);
    expect_default(in_tmp);
    (void)unsetenv("XDG_RUNTIME_DIR");
    expect_default(in_tmp);
    (void)snprintf(in_tmp, sizeof(in_tmp), "/var/tmp/reloader-%u", geteuid());
    (void)setenv("TMPDIR", "/var/tmp", 1);
    expect_default(in_tmp);
}

static void test_as_root(UNUSED void **state)
{
    if (geteuid() != 0) {
        print_message("skipped: needs root\n");
        skip();
    }
    (void)setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
    expect_default("/run/reloader");
    CLEANUP_STRV char **candidates = NULL;
    assert_int_equal(runtime_directory_candidates(&candidates), 0);
    assert_int_equal(strv_length(candidates), 1);
}

static void test_as_user(UNUSED void **state)
{
    if (geteuid() != 0) {
        check_as_user();
        return;
    }
    assert_int_equal(seteuid(65534), 0);
    check_as_user();
    assert_int_equal(seteuid(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_root),
        cmocka_unit_test(test_as_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
