/* test-lines.c - bytes that are lines: where they end, how many fit, what is left without escape sequences. */
#include "base/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"

static void test_ends(void **state UNUSED)
{
    static const struct {
        const char *text;
        size_t whole, first, count;
    } cases[] = {
        {"", 0, 0, 0},         {"a", 0, 1, 0},       {"\n", 1, 1, 1},
        {"a\nb", 2, 2, 1},     {"a\nb\n", 4, 2, 2},  {"\n\n\n", 3, 1, 3},
        {"ab\ncd\nef", 6, 3, 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *text = cases[i].text;
        size_t size = strlen(text);
        assert_int_equal(lines_whole(text, size), cases[i].whole);
        assert_int_equal(lines_first(text, size), cases[i].first);
        assert_int_equal(lines_count(text, size), cases[i].count);
    }
}

static void test_fitting(void **state UNUSED)
{
    static const char text[] = "aa\nbbb\nc\n";
    static const size_t fitting[] = {0, 0, 0, 3, 3, 3, 3, 7, 7, 9, 9};
    for (size_t room = 0; room < ARRAY_SIZE(fitting); room++)
        assert_int_equal(lines_fitting(text, strlen(text), room), fitting[room]);
}

static void test_skip(void **state UNUSED)
{
    static const char text[] = "aa\nbbb\nc";
    static const size_t skipped[] = {0, 3, 7, 8, 8};
    for (size_t n = 0; n < ARRAY_SIZE(skipped); n++)
        assert_int_equal(lines_skip(text, strlen(text), n), skipped[n]);
}

static void test_strip(void **state UNUSED)
{
    static const char *const cases[][2] = {
        {"plain\n", "plain\n"},
        {"\033[0mred\033[1;31m\n", "red\n"},
        {"\033[?25l\033[38;2;1;2;3mx\033[K\n", "x\n"},
        {"\033]0;title\007x\n", "x\n"},
        {"\033]8;;http://a\033\\link\033]8;;\033\\\n", "link\n"},
        {"\033Pq#0\033\\x\n", "x\n"},
        {"\033(Bx\033)0y\0337z\0338\n", "xyz\n"},
        {"\033cx\033=\n", "x\n"},
        /* One that does not come to its end takes no line with it. */
        {"\033[1\nnext\n", "\nnext\n"},
        {"\033]0;title\nnext\n", "\nnext\n"},
        {"\033\nnext\n", "\nnext\n"},
        {"x\033", "x"},
        {"x\033[", "x"},
        {"x\033]", "x"},
        {"\033\033[1mx\n", "x\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[80];
        strcpy(text, cases[i][0]);
        text[lines_strip_ansi(text, strlen(text))] = '\0';
        assert_string_equal(text, cases[i][1]);
    }
}

/* Whatever comes: it ends, nothing grows, and no line is lost. */
static void test_strip_anything(void **state UNUSED)
{
    static const char alphabet[] = {'\033', '[', ']', ';', '1', 'm', '\n', '\\', '\a', '\0', 'P', '('};
    unsigned seed = 1;
    for (int turn = 0; turn < 100000; turn++) {
        char text[12];
        size_t size = (unsigned)rand_r(&seed) % sizeof(text);
        for (size_t i = 0; i < size; i++)
            text[i] = alphabet[(size_t)rand_r(&seed) % sizeof(alphabet)];
        size_t lines = lines_count(text, size), kept = lines_strip_ansi(text, size);
        assert_true(kept <= size);
        assert_int_equal(lines_count(text, kept), lines);
        assert_null(kept > 0 ? memchr(text, '\033', kept) : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_fitting),
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_strip_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
