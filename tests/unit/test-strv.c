/*
 * test-strv.c - arrays of strings and environment blocks.
 */
#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_nothing_is_an_empty_one(void **state UNUSED)
{
    char *none[] = {NULL};
    char **copy = (char **)&none;
    assert_int_equal(strv_length(NULL), 0);
    assert_true(strv_equal(NULL, none));
    assert_false(strv_contains(NULL, "a"));
    assert_null(strv_env_get(NULL, "A"));
    assert_null(strv_free(NULL));
    strv_env_remove_if(NULL, NULL);
    assert_int_equal(strv_copy(NULL, &copy), 0);
    assert_int_equal(strv_length(copy), 0);
}

static void test_append_and_compare(void **state UNUSED)
{
    CLEANUP_STRV char **a = NULL, **b = NULL;
    assert_int_equal(strv_append(&a, "one"), 0);
    assert_int_equal(strv_appendf(&a, "%s-%d", "two", 2), 0);
    assert_int_equal(strv_consume(&a, strdup("three")), 0);
    assert_int_equal(strv_length(a), 3);
    assert_string_equal(a[1], "two-2");
    assert_null(a[3]);
    assert_true(strv_contains(a, "three"));
    assert_false(strv_contains(a, "thre"));

    assert_int_equal(strv_copy(a, &b), 0);
    assert_true(strv_equal(a, b));
    assert_ptr_not_equal(a[0], b[0]);
    b[2][0] = 'T';
    assert_false(strv_equal(a, b));
    b[2][0] = 't';
    assert_int_equal(strv_append(&b, "four"), 0);
    assert_false(strv_equal(a, b));
    assert_false(strv_equal(b, a));
}

static void test_no_memory_is_passed_on(void **state UNUSED)
{
    CLEANUP_STRV char **v = NULL;
    assert_int_not_equal(strv_consume(&v, NULL), 0);
    assert_null(v);
}

static void test_environment(void **state UNUSED)
{
    CLEANUP_STRV char **v = NULL;
    assert_int_equal(strv_env_set(&v, "A", "1"), 0);
    assert_int_equal(strv_env_set(&v, "AB", "2"), 0);
    assert_int_equal(strv_env_set(&v, "EMPTY", ""), 0);
    assert_int_equal(strv_env_set(&v, "A", "x=y"), 0);
    assert_int_equal(strv_length(v), 3);
    assert_string_equal(v[0], "A=x=y");
    assert_string_equal(strv_env_get(v, "A"), "x=y");
    assert_string_equal(strv_env_get(v, "AB"), "2");
    assert_string_equal(strv_env_get(v, "EMPTY"), "");
    assert_null(strv_env_get(v, "B"));
    assert_null(strv_env_get(v, "EMPT"));
    assert_null(strv_env_get(v, ""));
}

static bool begins_with_listen(const char *name, size_t length)
{
    return length >= 7 && strncmp(name, "LISTEN_", 7) == 0;
}

static bool is_named_a(const char *name, size_t length)
{
    return length == 1 && name[0] == 'A';
}

static bool is_any(const char *name UNUSED, size_t length UNUSED)
{
    return true;
}

static void test_removing(void **state UNUSED)
{
    CLEANUP_STRV char **v = NULL;
    static const char *const entries[] = {"LISTEN_FDS=1", "A=LISTEN_", "LISTEN_PID=2",
                                          "LISTEN=3",     "NOVALUE",   "LISTEN_X"};
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        assert_int_equal(strv_append(&v, entries[i]), 0);
    strv_env_remove_if(v, begins_with_listen);
    assert_int_equal(strv_length(v), 3);
    assert_string_equal(v[0], "A=LISTEN_");
    assert_string_equal(v[1], "LISTEN=3");
    assert_string_equal(v[2], "NOVALUE");
    strv_env_remove_if(v, is_named_a);
    assert_int_equal(strv_length(v), 2);
    assert_string_equal(v[0], "LISTEN=3");
    strv_env_remove_if(v, is_any);
    assert_int_equal(strv_length(v), 0);
    assert_int_equal(strv_append(&v, "again"), 0);
    assert_int_equal(strv_length(v), 1);
}

static void test_strings(void **state UNUSED)
{
    CLEANUP_FREE char *text = string_format("%s/%u", "web", 7U);
    assert_string_equal(text, "web/7");
    assert_true(string_starts_with("unix:/a", "unix:"));
    assert_true(string_starts_with("a", ""));
    assert_false(string_starts_with("uni", "unix:"));
    assert_true(string_equal(NULL, NULL));
    assert_false(string_equal(NULL, ""));
    assert_false(string_equal("", NULL));
    assert_true(string_equal("a", text + 0) == false);
    assert_true(string_equal("web/7", text));
}

static void check_utf8(const char *text, const char *expected)
{
    CLEANUP_FREE char *copy = strdup(text);
    string_make_utf8(copy);
    assert_string_equal(copy, expected);
}

static void test_make_utf8(void **state UNUSED)
{
    check_utf8("", "");
    check_utf8("a\u00e9\u20ac\U0001f600\U0010ffff", "a\u00e9\u20ac\U0001f600\U0010ffff");
    check_utf8("\xff\xfe" "a", "??a");
    check_utf8("a\xe2\x82", "a??"); /* cut off in the middle */
    check_utf8("\xc0\xaf", "??"); /* overlong */
    check_utf8("\xe0\x80\x80", "???");
    check_utf8("\xed\xa0\x80", "???"); /* a surrogate */
    check_utf8("\xf4\x90\x80\x80", "????"); /* above the last one */
    check_utf8("\xf8\x88\x80\x80\x80z", "?????z");
    check_utf8("\x80", "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_an_empty_one),
        cmocka_unit_test(test_append_and_compare),
        cmocka_unit_test(test_no_memory_is_passed_on),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_removing),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_make_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
