#include "gateway/accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* `end` is behind the range. A weight of 0 means "not acceptable". */
static bool has_weight(const char *range, const char *end)
{
    for (const char *p = range; p < end; p++) {
        if (*p != ';')
            continue;
        p += 1 + strspn(p + 1, " \t");
        if (strncasecmp(p, "q=", 2) == 0)
            return strtod(p + 2, NULL) > 0;
        p--;
    }
    return true;
}

bool accept_names(const char *header, const char *name)
{
    const char *range = header;
    while (range && *range) {
        range += strspn(range, ", \t");
        const char *end = range + strcspn(range, ",");
        size_t length = strcspn(range, ";, \t");
        if (length == strlen(name) && strncasecmp(range, name, length) == 0 &&
            has_weight(range, end))
            return true;
        range = end;
    }
    return false;
}
