#include "config-test.h"

#include "base/strv.h"
#include "base/words.h"

/* Words are shown with '|' behind each. */
static void assert_words(const char *text, const char *expected)
{
    CLEANUP_STRV char **words = NULL;
    CLEANUP_FREE char *reason = NULL;
    char shown[256] = "";
    assert_int_equal(words_split(text, &words, &reason), 0);
    assert_null(reason);
    STRV_FOREACH (word, words) {
        strcat(shown, *word);
        strcat(shown, "|");
    }
    assert_string_equal(shown, expected);
}

static void assert_refused_words(const char *text, const char *part)
{
    CLEANUP_STRV char **words = NULL;
    CLEANUP_FREE char *reason = NULL;
    assert_int_equal(words_split(text, &words, &reason), -EINVAL);
    assert_null(words);
    assert_has(reason, part);
}

static void test_words(void **state UNUSED)
{
    assert_words("", "");
    assert_words(" \t\n", "");
    assert_words("node app.js", "node|app.js|");
    assert_words("  a   b  ", "a|b|");
    assert_words("a\nb", "a|b|");
    assert_words("--port=80 x*.txt ~/y #z {a} [b] !", "--port=80|x*.txt|~/y|#z|{a}|[b]|!|");
}

/* Where there never was a shell, nothing asks for one. */
static void test_plain(void **state UNUSED)
{
    CLEANUP_STRV char **words = NULL;
    CLEANUP_FREE char *reason = NULL;
    assert_int_equal(words_split_plain("a | $b \"\\$c\" (d) >e", &words, &reason), 0);
    assert_int_equal(strv_length(words), 6);
    assert_string_equal(words[1], "|");
    assert_string_equal(words[2], "$b");
    assert_string_equal(words[3], "\\$c");
    assert_string_equal(words[4], "(d)");
    assert_int_equal(words_split_plain("a 'b", &words, &reason), -EINVAL);
    assert_has(reason, "the quote ' has no end");
}

static void test_quotes(void **state UNUSED)
{
    assert_words("'a b' \"c d\"", "a b|c d|");
    assert_words("a'b'\"c\"d", "abcd|");
    assert_words("'' \"\"", "||");
    assert_words("'a\\b' 'c\"d'", "a\\b|c\"d|");
    assert_words("\"a\\\"b\" \"c\\\\d\" \"e\\nf\" \"\\$x\"", "a\"b|c\\d|e\\nf|$x|");
    assert_words("a\\ b \\'c", "a b|'c|");
    assert_words("sh -c 'a | b > c; echo $d'", "sh|-c|a | b > c; echo $d|");
    assert_words("\"a;b\" \\; \\|", "a;b|;|||");
}

static void test_expansions_are_no_brackets(void **state UNUSED)
{
    assert_words("x --fd=%(fd:web)s %(here)s/a", "x|--fd=%(fd:web)s|%(here)s/a|");
    assert_refused_words("x (a)", "there is no shell to understand '('");
    assert_refused_words("x %(a b)s", "there is no shell to understand '('");
}

static void test_errors(void **state UNUSED)
{
    static const char *const shells[] = {"a | b",  "a > b", "a < b",      "a; b",
                                         "a && b", "a & ",  "echo $HOME", "a `b`"};
    for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
        assert_refused_words(shells[i], "there is no shell to understand");
    assert_refused_words("a 'b", "the quote ' has no end");
    assert_refused_words("a \"b", "the quote \" has no end");
    assert_refused_words("a \"b\\", "the quote \" has no end");
    assert_refused_words("a \\", "a backslash at the end");
}

static void test_bounded(void **state UNUSED)
{
    CLEANUP_FREE char *text = calloc(2 * WORDS_MAX + 3, 1);
    for (size_t i = 0; i <= WORDS_MAX; i++)
        memcpy(text + 2 * i, "a ", 2);
    assert_refused_words(text, "more than 4096 words");
    text[2 * WORDS_MAX] = '\0';
    CLEANUP_STRV char **words = NULL;
    CLEANUP_FREE char *reason = NULL;
    assert_int_equal(words_split(text, &words, &reason), 0);
    assert_int_equal(strv_length(words), WORDS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),  cmocka_unit_test(test_plain),
        cmocka_unit_test(test_quotes), cmocka_unit_test(test_expansions_are_no_brackets),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
