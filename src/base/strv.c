#include "base/strv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char **strv_free(char **v)
{
    STRV_FOREACH (s, v)
        free(*s);
    free(v);
    return NULL;
}

size_t strv_length(char *const *v)
{
    size_t n = 0;
    STRV_FOREACH (s, v)
        n++;
    return n;
}

bool strv_equal(char *const *a, char *const *b)
{
    size_t n = strv_length(a);
    if (n != strv_length(b))
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

bool strv_contains(char *const *v, const char *s)
{
    STRV_FOREACH (i, v)
        if (strcmp(*i, s) == 0)
            return true;
    return false;
}

int strv_copy(char *const *v, char ***ret)
{
    CLEANUP_STRV char **copy = NULL;
    STRV_FOREACH (s, v) {
        int r = strv_append(&copy, *s);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(copy);
    return 0;
}

int strv_consume(char ***v, char *s)
{
    if (!s)
        return -ENOMEM;
    size_t n = strv_length(*v);
    char **larger = realloc(*v, (n + 2) * sizeof(char *));
    if (!larger) {
        free(s);
        return -ENOMEM;
    }
    larger[n] = s;
    larger[n + 1] = NULL;
    *v = larger;
    return 0;
}

int strv_append(char ***v, const char *s)
{
    return strv_consume(v, strdup(s));
}

int strv_appendf(char ***v, const char *format, ...)
{
    char *s = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&s, format, arguments);
    va_end(arguments);
    return strv_consume(v, n < 0 ? NULL : s);
}

static char **env_find(char *const *v, const char *name)
{
    size_t length = strlen(name);
    STRV_FOREACH (s, v)
        if (strncmp(*s, name, length) == 0 && (*s)[length] == '=')
            return (char **)s;
    return NULL;
}

const char *strv_env_get(char *const *v, const char *name)
{
    char **entry = env_find(v, name);
    return entry ? *entry + strlen(name) + 1 : NULL;
}

int strv_env_set(char ***v, const char *name, const char *value)
{
    char *text = string_format("%s=%s", name, value);
    if (!text)
        return -ENOMEM;
    char **entry = env_find(*v, name);
    if (!entry)
        return strv_consume(v, text);
    free(*entry);
    *entry = text;
    return 0;
}

void strv_env_remove_if(char **v, bool (*matches)(const char *name, size_t length))
{
    if (!v)
        return;
    char **kept = v;
    for (char **s = v; *s; s++) {
        if (matches(*s, strcspn(*s, "=")))
            free(*s);
        else
            *kept++ = *s;
    }
    *kept = NULL;
}

char *string_format(const char *format, ...)
{
    char *s = NULL;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&s, format, arguments);
    va_end(arguments);
    return n < 0 ? NULL : s;
}

bool string_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool string_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The length of the UTF-8 character at s, 0 if there is none. */
static size_t utf8_length(const unsigned char *s)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = 1;
    if (s[0] < 0x80)
        return 1;
    while (length < 5 && (s[0] & (0x80u >> length)))
        length++;
    if (length < 2 || length > 4)
        return 0;
    uint32_t c = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    return c < smallest[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : length;
}

void string_make_utf8(char *s)
{
    while (*s) {
        size_t length = utf8_length((const unsigned char *)s);
        if (length == 0)
            *s = '?';
        s += length ? length : 1;
    }
}
