#include "base/lines.h"

#include "base/macros.h"

#include <string.h>

size_t lines_whole(const char *data, size_t size)
{
    const char *last = size > 0 ? memrchr(data, '\n', size) : NULL;
    return last ? (size_t)(last - data) + 1 : 0;
}

size_t lines_first(const char *data, size_t size)
{
    const char *end = size > 0 ? memchr(data, '\n', size) : NULL;
    return end ? (size_t)(end - data) + 1 : size;
}

size_t lines_count(const char *data, size_t size)
{
    size_t n = 0;
    for (const char *end = data + size; data < end; n++) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        if (!newline)
            break;
        data = newline + 1;
    }
    return n;
}

size_t lines_skip(const char *data, size_t size, size_t n)
{
    size_t at = 0;
    while (n-- > 0 && at < size)
        at += lines_first(data + at, size - at);
    return at;
}

size_t lines_fitting(const char *data, size_t size, size_t room)
{
    return size <= room ? size : lines_whole(data, room);
}

/* Where the sequence ends whose first byte is behind the escape character. */
static size_t skip_string(const char *data, size_t at, size_t size)
{
    while (at < size && data[at] != '\n') {
        if (data[at] == '\a')
            return at + 1;
        if (data[at] == '\033')
            return at + 1 < size && data[at + 1] == '\\' ? at + 2 : at;
        at++;
    }
    return at;
}

static size_t skip_while(const char *data, size_t at, size_t size, char first, char last)
{
    while (at < size && data[at] >= first && data[at] <= last)
        at++;
    return at;
}

static size_t skip_final(const char *data, size_t at, size_t size, char first)
{
    return at < size && data[at] >= first && data[at] <= '~' ? at + 1 : at;
}

static size_t skip_sequence(const char *data, size_t at, size_t size)
{
    if (at == size)
        return at;
    switch (data[at]) {
    case '[': /* parameters, intermediates, one final byte */
        return skip_final(data, skip_while(data, at + 1, size, ' ', '?'), size, '@');
    case ']': /* OSC, DCS, SOS, PM, APC: up to their terminator */
    case 'P':
    case 'X':
    case '^':
    case '_':
        return skip_string(data, at + 1, size);
    }
    return skip_final(data, skip_while(data, at, size, ' ', '/'), size, '0');
}

size_t lines_strip_ansi(char *data, size_t size)
{
    size_t kept = 0;
    for (size_t at = 0; at < size;) {
        const char *escape = memchr(data + at, '\033', size - at);
        size_t plain = escape ? (size_t)(escape - data) - at : size - at;
        memmove(data + kept, data + at, plain);
        kept += plain;
        at += plain;
        if (escape)
            at = skip_sequence(data, at + 1, size);
    }
    return kept;
}
