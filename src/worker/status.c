#include "worker/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL;
}

/* How many bytes at c must not stay. U+0080 to U+009F are control characters as well, of two bytes. */
static size_t unfit(const unsigned char *c, bool utf8)
{
    if (*c < 0x20 || *c == 0x7f || (!utf8 && *c > 0x7f))
        return 1;
    return c[0] == 0xc2 && c[1] < 0xa0 ? 2 : 0;
}

char *status_from_text(const char *text)
{
    size_t length = strnlen(text, STATUS_LENGTH_MAX + 1);
    if (length > STATUS_LENGTH_MAX) {
        length = STATUS_LENGTH_MAX;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    char *status = strndup(text, length);
    if (!status)
        return NULL;
    bool utf8 = is_utf8(status);
    for (unsigned char *c = (unsigned char *)status; *c; c++)
        for (size_t n = unfit(c, utf8); n > 0; n--)
            *(n > 1 ? c++ : c) = '?';
    return status;
}
