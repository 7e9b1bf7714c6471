#include "config/quote.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/."

static bool is_plain(const char *text)
{
    /* Words that YAML tools take for something else than text. */
    static const char *const words[] = {"null", "true", "false", "yes", "no",
                                        "on",   "off",  "y",     "n"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    return *text != '\0' && strchr(LETTERS, *text) && text[strspn(text, LETTERS "-+@%()=")] == '\0';
}

/* Reads one UTF-8 character; false if there is none. */
static bool read_character(const char **text, uint32_t *ret)
{
    const unsigned char *s = (const unsigned char *)*text;
    unsigned more = s[0] < 0x80 ? 0 : s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2 : 1;
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    static const unsigned char masks[] = {0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = s[0] & masks[more];
    if (s[0] >= 0xf8 || (more > 0 && (s[0] & 0xc0) != 0xc0))
        return false;
    for (unsigned i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return false;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < smallest[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return false;
    *text += more + 1;
    *ret = c;
    return true;
}

/* What libyaml refuses, or would take for a line break. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

static bool put_quoted(FILE *stream, const char *text)
{
    (void)fputc('"', stream);
    while (*text != '\0') {
        const char *begin = text;
        uint32_t c;
        if (!read_character(&text, &c))
            return false;
        if (c == '"' || c == '\\')
            (void)fprintf(stream, "\\%c", (int)c);
        else if (needs_escape(c))
            (void)fprintf(stream, "\\u%04x", c);
        else
            (void)fwrite(begin, 1, (size_t)(text - begin), stream);
    }
    (void)fputc('"', stream);
    return true;
}

bool memory_stream_close(FILE *stream, char *const *text)
{
    /* glibc reports a write that found no memory only here, and may leave no text at all. */
    bool failed = ferror(stream);
    return fclose(stream) == 0 && !failed && *text;
}

char *yaml_quote(const char *text)
{
    if (is_plain(text))
        return strdup(text);
    CLEANUP_FREE char *quoted = NULL;
    size_t size;
    FILE *stream = open_memstream(&quoted, &size);
    if (!stream)
        return NULL;
    bool valid = put_quoted(stream, text);
    if (!memory_stream_close(stream, &quoted) || !valid)
        return NULL;
    return TAKE_PTR(quoted);
}

char *percent_double(const char *text)
{
    char *doubled = malloc(2 * strlen(text) + 1), *to = doubled;
    if (!doubled)
        return NULL;
    for (; *text != '\0'; text++) {
        *to++ = *text;
        if (*text == '%')
            *to++ = '%';
    }
    *to = '\0';
    return doubled;
}
