/* test-gateway-page.c - the page's files as they are in the program, and which of them a browser has already. */
#include "gateway/page-internal.h"
#include "gateway/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TAG "\"0123\""

static void test_known_tags(void **state UNUSED)
{
    assert_false(page_is_known(NULL, TAG));
    assert_true(page_is_known(TAG, TAG));
    assert_true(page_is_known("W/\"0123\"", TAG));
    assert_true(page_is_known("*", TAG));
    assert_true(page_is_known("\"other\", W/\"a,b\" ,\t\"0123\"", TAG));
}

static void test_unknown_tags(void **state UNUSED)
{
    static const char *const headers[] = {
        "",          " , ",        "0123", "\"0123",         "\"012\"", "\"01234\"",
        "\"other\"", "w/\"0123\"", "\"\"", "\"other\" 0123", "W/",      "\"x\",\"0123",
    };
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        assert_false(page_is_known(headers[i], TAG));
}

static const struct page_file *find(const char *path)
{
    for (const struct page_file *file = page_files; file->path; file++)
        if (strcmp(file->path, path) == 0)
            return file;
    return NULL;
}

static void test_files(void **state UNUSED)
{
    const struct page_file *index = find("/"), *style = find("/page/style.css");
    assert_non_null(index);
    assert_string_equal(index->type, "text/html; charset=utf-8");
    assert_memory_equal(index->data, "<!doctype html>", 15);
    assert_non_null(style);
    assert_string_equal(style->type, "text/css; charset=utf-8");
    assert_non_null(find("/page/icon.svg"));
    assert_null(find("/page/index.html"));
    for (const struct page_file *file = page_files; file->path; file++)
        for (const struct page_file *other = page_files; other != file; other++)
            assert_string_not_equal(file->tag, other->tag);
}

/* What the policy forbids would only show in a browser. */
static void test_nothing_is_inline(void **state UNUSED)
{
    static const char *const forbidden[] = {" style=",     " onclick=", "<style",  "<script>",
                                            "javascript:", "http://",   "https://"};
    const struct page_file *index = find("/");
    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
        assert_null(memmem(index->data, index->size, forbidden[i], strlen(forbidden[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_tags),
        cmocka_unit_test(test_unknown_tags),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_nothing_is_inline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
