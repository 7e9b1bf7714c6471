#include "config-test.h"

#include "config/expand.h"

static int find_fd(const char *name, void *userdata)
{
    assert_ptr_equal(userdata, find_fd);
    return strcmp(name, "web") == 0 ? 3 : -ENOENT;
}

static const unsigned process_num = 7;
static const uint64_t generation = 12;
static char *const environment[] = {(char *)(uintptr_t) "HOME=/home/me",
                                    (char *)(uintptr_t) "EMPTY=", NULL};

static struct expansion all(void)
{
    return (struct expansion){
        .program_name = "prog",
        .group_name = "grp",
        .here = "/etc/reloader",
        .host_node_name = "node1",
        .process_num = &process_num,
        .generation = &generation,
        .socket_fd = find_fd,
        .userdata = (void *)find_fd,
        .environment = environment,
    };
}

static void assert_expands(const char *text, const char *expected)
{
    struct expansion expansion = all();
    CLEANUP_FREE char *expanded = NULL, *reason = NULL;
    assert_int_equal(expand(text, &expansion, &expanded, &reason), 0);
    assert_string_equal(expanded, expected);
    assert_null(reason);
}

static void assert_fails(const char *text, const struct expansion *expansion, const char *part)
{
    CLEANUP_FREE char *expanded = NULL, *reason = NULL;
    assert_int_equal(expand(text, expansion, &expanded, &reason), -EINVAL);
    assert_null(expanded);
    assert_has(reason, part);
}

static void test_names(void **state UNUSED)
{
    assert_expands("", "");
    assert_expands("plain", "plain");
    assert_expands("%(program_name)s/%(process_num)s", "prog/7");
    assert_expands("%(group_name)s:%(here)s:%(host_node_name)s", "grp:/etc/reloader:node1");
    assert_expands("g%(generation)s fd %(fd:web)s", "g12 fd 3");
    assert_expands("%(ENV_HOME)s|%(ENV_EMPTY)s|", "/home/me||");
}

static void test_formats(void **state UNUSED)
{
    assert_expands("%(process_num)02d", "07");
    assert_expands("%(process_num)d", "7");
    assert_expands("%(process_num)3d", "  7");
    assert_expands("%(process_num)03s", "007");
    assert_expands("%(fd:web)02d", "03");
    assert_expands("%(program_name)6s", "  prog");
}

static void test_percent(void **state UNUSED)
{
    assert_expands("100%%", "100%");
    assert_expands("%%(here)s", "%(here)s");
    assert_expands("%%%%%(process_num)s", "%%7");
}

static void test_errors(void **state UNUSED)
{
    struct expansion expansion = all();
    assert_fails("%(nmae)s", &expansion,
                 "%(nmae)s is unknown; known here: %(program_name)s %(process_num)s");
    assert_fails("50%", &expansion, "'%' is no expansion: write %%");
    assert_fails("%d", &expansion, "is no expansion");
    assert_fails("%(here", &expansion, "is no expansion");
    assert_fails("%(here)", &expansion, "is no expansion");
    assert_fails("%(here)x", &expansion, "is no expansion");
    assert_fails("%()s", &expansion, "is no expansion");
    assert_fails("%(process_num)100d", &expansion, "is no expansion");
    assert_fails("%(here)d", &expansion, "is no number: write %(here)s");
    assert_fails("%(fd:api)s", &expansion, "the program has no socket 'api'");
    assert_fails("%(ENV_NO)s", &expansion, "there is no environment variable 'NO'");
}

static void test_not_known_here(void **state UNUSED)
{
    const struct expansion expansion = {.here = "/"};
    assert_fails("%(process_num)s", &expansion,
                 "%(process_num)s is not known here; known here: %(here)s %(ENV_NAME)s");
    assert_fails("%(generation)s", &expansion, "not known here");
    assert_fails("%(fd:web)s", &expansion, "not known here");
    assert_fails("%(program_name)s", &expansion, "not known here");
    assert_fails("%(ENV_X)s", &expansion, "there is no environment variable 'X'");
}

static void test_bounded(void **state UNUSED)
{
    CLEANUP_FREE char *big = malloc(70000);
    memset(big, 'x', 69999);
    memcpy(big, "BIG=", 4);
    big[69999] = '\0';
    char *const block[] = {big, NULL};
    const struct expansion expansion = {.environment = block};
    assert_fails("%(ENV_BIG)s%(ENV_BIG)s", &expansion, "longer than 128 KiB");
}

static void test_uses(void **state UNUSED)
{
    assert_true(expand_uses("a%(process_num)s", "process_num"));
    assert_true(expand_uses("%%%(process_num)02d", "process_num"));
    assert_false(expand_uses("%%(process_num)s", "process_num"));
    assert_false(expand_uses("%(generation)s", "process_num"));
    assert_false(expand_uses("100%", "process_num"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_formats),
        cmocka_unit_test(test_percent),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_not_known_here), cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
