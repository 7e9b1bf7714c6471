#include "worker/status.h"

#include "base/strv.h"

#include <string.h>

/* How many bytes of a control character begin at c. U+0080 to U+009F are such as well, of two bytes. */
static size_t control_length(const unsigned char *c)
{
    if (*c < 0x20 || *c == 0x7f)
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
    string_make_utf8(status);
    for (unsigned char *c = (unsigned char *)status; *c; c++)
        for (size_t n = control_length(c); n > 0; n--)
            *(n > 1 ? c++ : c) = '?';
    return status;
}
