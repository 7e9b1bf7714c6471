#include "import/variables.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>

#define BLANKS  " \t\r\n"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.+-():%"

/* Of what begins at s: a text with its quotes, or letters. 0: neither. */
static size_t measure_value(const char *s)
{
    if (*s != '"' && *s != '\'')
        return strspn(s, LETTERS);
    const char *end = strchr(s + 1, *s);
    return end ? (size_t)(end + 1 - s) : 0;
}

static int fail(const char *at, char **ret_reason)
{
    *ret_reason = string_format("near '%.*s': expected KEY=\"value\",KEY2=\"value2\"",
                                (int)strcspn(at, ",\n"), at);
    return *ret_reason ? -EINVAL : -ENOMEM;
}

static int add(char ***list, const char *name, size_t name_length, const char *value, size_t length)
{
    bool quoted = length >= 2 && (*value == '"' || *value == '\'');
    CLEANUP_FREE char *key = strndup(name, name_length),
                      *text = strndup(value + quoted, length - 2 * quoted);
    return key && text ? strv_env_set(list, key, text) : -ENOMEM;
}

int variables_parse(const char *text, char ***ret, char **ret_reason)
{
    CLEANUP_STRV char **list = NULL;
    text += strspn(text, BLANKS);
    while (*text != '\0') {
        const char *name = text;
        size_t name_length = strspn(text, LETTERS);
        text += name_length + strspn(text + name_length, BLANKS);
        if (name_length == 0 || *text != '=')
            return fail(name, ret_reason);
        text++;
        text += strspn(text, BLANKS);
        size_t length = measure_value(text);
        const char *value = text;
        text += length + strspn(text + length, BLANKS);
        if (length == 0 || (*text != ',' && *text != '\0'))
            return fail(name, ret_reason);
        int r = add(&list, name, name_length, value, length);
        if (r < 0)
            return r;
        text += *text == ',';
        text += strspn(text, BLANKS);
    }
    *ret = TAKE_PTR(list);
    return 0;
}
