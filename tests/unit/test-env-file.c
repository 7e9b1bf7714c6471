#include "config-test.h"

#include "base/strv.h"

#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/reloader-test-env-XXXXXX";

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Variables are shown with '|' behind each. */
static void assert_variables(const char *text, const char *expected)
{
    CLEANUP_STRV char **variables = NULL;
    CLEANUP_FREE char *error = NULL;
    char shown[512] = "";
    write_file(text, strlen(text));
    int r = config_read_environment_file(path, &variables, &error);
    if (r < 0)
        print_error("%s\n", error);
    assert_int_equal(r, 0);
    STRV_FOREACH (variable, variables) {
        strcat(shown, *variable);
        strcat(shown, "|");
    }
    assert_string_equal(shown, expected);
}

static void assert_wrong(const char *text, size_t size, const char *part)
{
    CLEANUP_STRV char **variables = NULL;
    CLEANUP_FREE char *error = NULL;
    write_file(text, size);
    assert_int_equal(config_read_environment_file(path, &variables, &error), -EINVAL);
    assert_null(variables);
    assert_has(error, path);
    assert_has(error, part);
}

static void test_plain(void **state UNUSED)
{
    assert_variables("", "");
    assert_variables("A=1\nB=two words\n\n  C = x \nD=", "A=1|B=two words|C=x|D=|");
    assert_variables("# A=1\n; B=2\n  # C=3\nD=4 # no comment\nE=a;b\n", "D=4 # no comment|E=a;b|");
    assert_variables("A=1\r\nB=2\r\n", "A=1|B=2|");
    assert_variables("A=1\nB=2\nA=3\n", "A=3|B=2|");
    assert_variables("URL=http://x/?a=b&c=$d\n", "URL=http://x/?a=b&c=$d|");
}

static void test_quotes(void **state UNUSED)
{
    assert_variables("A='a b'\nB=\"c d\" \nC=\" x \"\n", "A=a b|B=c d|C= x |");
    assert_variables("A='a\nb'\nB=1\n", "A=a\nb|B=1|");
    assert_variables("A=\"q \\\" b \\\\ d \\$ n \\n\"\n", "A=q \" b \\ d $ n \\n|");
    assert_variables("A=a\\ \nB=x\\\\y\\z\n", "A=a |B=x\\yz|");
    assert_variables("A='#'\"'\"\n", "A=#'|");
}

static void test_continuation(void **state UNUSED)
{
    assert_variables("A=a\\\nb\nB=1\n", "A=ab|B=1|");
    assert_variables("A=\"a\\\nb\"\n", "A=ab|");
    assert_variables("# comment \\\nA=1\nB=2\n", "B=2|");
    assert_variables("A=1\\", "A=1|");
}

static void test_errors(void **state UNUSED)
{
    assert_wrong("A=1\nfoo\n", 8, ":2: expected NAME=value");
    assert_wrong("\n\n=x\n", 5, ":3: the name of a variable");
    assert_wrong("1A=x\n", 5, ":1: the name of a variable");
    assert_wrong("export A=x\n", 11, ":1: the name of a variable");
    assert_wrong("A=1\nB='x\n\n", 10, ":2: the quote ' has no end");
    assert_wrong("A=\"x\n", 5, ":1: the quote \" has no end");
    assert_wrong("A=\0\n", 4, "a NUL character");
}

static void test_bounded(void **state UNUSED)
{
    CLEANUP_FREE char *text = calloc(4097, 8);
    for (unsigned i = 0; i < 4097; i++)
        (void)sprintf(text + strlen(text), "A=%u\n", i % 10);
    assert_wrong(text, strlen(text), ":4097: more than 4096 variables");
}

static void assert_unreadable(const char *name, int error, const char *part)
{
    CLEANUP_STRV char **variables = NULL;
    CLEANUP_FREE char *text = NULL;
    assert_int_equal(config_read_environment_file(name, &variables, &text), error);
    assert_has(text, part);
}

static void test_files(void **state UNUSED)
{
    assert_unreadable("/nonexistent/x", -ENOENT,
                      "/nonexistent/x: cannot read the environment: No such file");
    assert_unreadable("/", -EISDIR, "this is a directory");
    assert_unreadable("/dev/null", -ENOTSUP, "no regular file");
    assert_int_equal(truncate(path, 1 << 30), 0);
    assert_unreadable(path, -EFBIG, "larger than 1 MiB");
}

static int setup(void **state UNUSED)
{
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state UNUSED)
{
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_continuation), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_bounded),      cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
