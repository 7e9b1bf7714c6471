#include "base/words.h"

#include "base/strv.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct splitter {
    const char *at;
    char *word; /* as long as the whole text: enough for any word */
    size_t length;
    bool in_word;
    size_t n_words;
    bool plain; /* there is no thought of a shell */
};

static void put(struct splitter *s, char c)
{
    s->word[s->length++] = c;
    s->in_word = true;
}

static int fail(char **ret_reason, char *reason)
{
    if (!reason)
        return -ENOMEM;
    *ret_reason = reason;
    return -EINVAL;
}

static int fail_unbalanced(char quote, char **ret_reason)
{
    return fail(ret_reason, string_format("the quote %c has no end", quote));
}

static int read_single_quotes(struct splitter *s, char **ret_reason)
{
    const char *end = strchr(s->at, '\'');
    if (!end)
        return fail_unbalanced('\'', ret_reason);
    s->in_word = true;
    while (s->at < end)
        put(s, *s->at++);
    s->at++;
    return 0;
}

/* Inside double quotes a backslash quotes only what would mean something there. */
static int read_double_quotes(struct splitter *s, char **ret_reason)
{
    const char *quoted = s->plain ? "\"\\" : "\"\\$`\n";
    s->in_word = true;
    for (; *s->at != '"'; s->at++) {
        if (*s->at == '\\' && s->at[1] != '\0' && strchr(quoted, s->at[1]))
            s->at++;
        if (*s->at == '\0')
            return fail_unbalanced('"', ret_reason);
        put(s, *s->at);
    }
    s->at++;
    return 0;
}

static int read_backslash(struct splitter *s, char **ret_reason)
{
    if (*s->at == '\0')
        return fail(ret_reason, strdup("a backslash at the end quotes nothing"));
    put(s, *s->at++);
    return 0;
}

/* %(name)s is an expansion of ours: the only brackets that do not ask for a shell. */
static bool read_expansion(struct splitter *s)
{
    if (s->at[0] != '%' || s->at[1] != '(')
        return false;
    size_t length = strcspn(s->at, ") \t\n'\"\\");
    if (s->at[length] != ')')
        return false;
    for (length++; length > 0; length--)
        put(s, *s->at++);
    return true;
}

static int end_word(struct splitter *s, char ***words, char **ret_reason)
{
    if (!s->in_word)
        return 0;
    if (++s->n_words > WORDS_MAX)
        return fail(ret_reason, string_format("more than %d words", WORDS_MAX));
    s->word[s->length] = '\0';
    s->length = 0;
    s->in_word = false;
    return strv_append(words, s->word);
}

static int read_one(struct splitter *s, char ***words, char **ret_reason)
{
    if (read_expansion(s))
        return 0;
    char c = *s->at++;
    if (c == ' ' || c == '\t' || c == '\n')
        return end_word(s, words, ret_reason);
    if (c == '\'')
        return read_single_quotes(s, ret_reason);
    if (c == '"')
        return read_double_quotes(s, ret_reason);
    if (c == '\\')
        return read_backslash(s, ret_reason);
    if (!s->plain && strchr("|&;<>$`()", c))
        return fail(ret_reason,
                    string_format("there is no shell to understand '%c': quote it, or write "
                                  "[sh, -c, \"exec …\"]",
                                  c));
    put(s, c);
    return 0;
}

static int split(const char *text, bool plain, char ***ret, char **ret_reason)
{
    CLEANUP_STRV char **words = NULL;
    CLEANUP_FREE char *word = malloc(strlen(text) + 1);
    if (!word)
        return -ENOMEM;
    struct splitter splitter = {.at = text, .word = word, .plain = plain};
    int r = 0;
    while (r == 0 && *splitter.at != '\0')
        r = read_one(&splitter, &words, ret_reason);
    if (r == 0)
        r = end_word(&splitter, &words, ret_reason);
    if (r == 0)
        *ret = TAKE_PTR(words);
    return r;
}

int words_split(const char *text, char ***ret, char **ret_reason)
{
    return split(text, false, ret, ret_reason);
}

int words_split_plain(const char *text, char ***ret, char **ret_reason)
{
    return split(text, true, ret, ret_reason);
}
