/* Which files a path with wildcards means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/pattern.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>

/* Walks to `path`, which is below the prefix: is it meant? `link`: the directories on the way are links. */
static bool means(const char *text, const char *path, bool link)
{
    CLEANUP(pattern_freep) struct pattern *pattern = NULL;
    CLEANUP_FREE char *copy = strdup(path);
    const char *reason;
    assert_int_equal(pattern_new(text, &pattern, &reason), 0);
    size_t n = strcmp(pattern->prefix, "/") == 0 ? 0 : strlen(pattern->prefix);
    if (strncmp(path, pattern->prefix, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return false;
    if (path[n] == '\0')
        return pattern->plain;
    uint64_t positions = pattern_begin(pattern);
    char *state = NULL;
    for (char *name = strtok_r(copy + n, "/", &state), *next; name; name = next) {
        next = strtok_r(NULL, "/", &state);
        struct pattern_step step = pattern_step(pattern, positions, name);
        if (!next)
            return step.matches;
        positions = link ? step.through : step.enter;
    }
    return false;
}

static void assert_means(const char *text, const char *path)
{
    if (!means(text, path, false))
        fail_msg("%s does not mean %s", text, path);
}

static void assert_not(const char *text, const char *path)
{
    if (means(text, path, false))
        fail_msg("%s means %s", text, path);
}

static void test_plain(void **state UNUSED)
{
    assert_means("/a/b", "/a/b");
    assert_means("/a/b", "/a/b/c");
    assert_means("/a/b/", "/a/b/.c/d");
    assert_means("//a/./b//", "/a/b/c/d/e");
    assert_means("/", "/x");
    assert_not("/a/b", "/a/c");
    assert_not("/a/b", "/a/bc");
    assert_means("/a/\\*", "/a/*");
    assert_not("/a/\\*", "/a/b");
}

static void test_wildcards(void **state UNUSED)
{
    assert_means("/a/*.js", "/a/x.js");
    assert_means("/a/*.js", "/a/.x.js");
    assert_not("/a/*.js", "/a/x.jsx");
    assert_not("/a/*.js", "/a/b/x.js");
    assert_means("/a/?[b-d]", "/a/xc");
    assert_not("/a/?[b-d]", "/a/xe");
    assert_means("/a/[]!]", "/a/]");
    assert_means("/a/*/c", "/a/b/c");
    assert_not("/a/*/c", "/a/b/c/d");
    assert_means("/a/*/", "/a/b/c/d");
    assert_not("/a/*/", "/a/b");
    assert_means("/a/*/\\[x]", "/a/b/[x]");
}

static void test_any_depth(void **state UNUSED)
{
    assert_means("/a/**/*.js", "/a/x.js");
    assert_means("/a/**/*.js", "/a/b/c/x.js");
    assert_not("/a/**/*.js", "/a/b/c/x.css");
    assert_means("/a/**", "/a/x");
    assert_means("/a/**", "/a/b/c/x");
    assert_means("/a/**/**/c/**", "/a/c/x");
    assert_means("/a/**/c/*/d", "/a/c/c/c/e/d");
    assert_not("/a/**/c/*/d", "/a/c/d");
    assert_means("/**/x", "/x");
}

/* `**` goes through no links, a part that names one does. */
static void test_links(void **state UNUSED)
{
    assert_true(means("/a/*/c", "/a/b/c", true));
    assert_true(means("/a/*/**/c", "/a/b/c", true));
    assert_false(means("/a/**/c", "/a/b/c", true));
    assert_false(means("/a", "/a/b/c", true));
    assert_true(means("/a", "/a/b", true));
}

static void assert_wrong(const char *text, const char *part)
{
    struct pattern *pattern = NULL;
    const char *reason = NULL;
    assert_int_equal(pattern_new(text, &pattern, &reason), -EINVAL);
    assert_non_null(strstr(reason, part));
}

static void test_wrong(void **state UNUSED)
{
    assert_wrong("", "empty");
    assert_wrong("/a/x**", "whole name");
    assert_wrong("/a/**x/y", "whole name");
    assert_wrong("/a/*.{js,ts}", "{a,b}");
    assert_wrong("/a/[b", "'[' without");
    assert_wrong("/a/b\\", "backslash");
    assert_wrong("/a/*/../b", "'..'");
    char text[4096] = "";
    for (unsigned i = 0; i < PATTERN_PARTS_MAX + 1; i++)
        strcat(text, "/*");
    assert_wrong(text, "more than 30");
    memset(text, 'a', 300);
    text[0] = '/';
    assert_wrong(text, "255 bytes");
}

static void test_quote(void **state UNUSED)
{
    static const char *const names[] = {"/a*b", "/a?b", "/[ab]", "/a\\b", "/{a,b}", "/a b"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *quoted = pattern_quote(names[i]);
        assert_means(quoted, names[i]);
        assert_not(quoted, "/axb");
    }
}

static void test_names(void **state UNUSED)
{
    char *const names[] = {(char[]){"*.tmp"}, (char[]){".git"}, NULL};
    assert_true(pattern_match_name(names, "a.tmp"));
    assert_true(pattern_match_name(names, ".tmp"));
    assert_true(pattern_match_name(names, ".git"));
    assert_false(pattern_match_name(names, "git"));
    assert_false(pattern_match_name(NULL, "git"));
    assert_null(pattern_check_name("*.tmp"));
    assert_non_null(pattern_check_name(""));
    assert_non_null(pattern_check_name("a/b"));
    assert_non_null(pattern_check_name("!a"));
    assert_non_null(pattern_check_name("[a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),     cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_any_depth), cmocka_unit_test(test_links),
        cmocka_unit_test(test_wrong),     cmocka_unit_test(test_quote),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
