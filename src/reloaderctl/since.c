#include "reloaderctl/since.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int parse_number(const char *text, struct since *ret)
{
    const char *at = strchr(text, '@');
    char digits[24];
    size_t length = at ? (size_t)(at - text) : strlen(text);
    struct since since = {.is_number = true};
    if (length >= sizeof(digits))
        return -EINVAL;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (parse_unsigned(digits, 0, INT64_MAX - 1, &since.sequence) < 0 ||
        (at && parse_unsigned(at + 1, 1, INT64_MAX - 1, &since.start) < 0))
        return -EINVAL;
    *ret = since;
    return 0;
}

static int parse_ago(const char *text, uint64_t now_usec, struct since *ret)
{
    uint64_t ago;
    if (parse_duration(text, &ago) < 0)
        return -EINVAL;
    *ret = (struct since){.time_usec = now_usec > ago ? now_usec - ago : 0};
    return 0;
}

/* ".25" is 250000. Returns what is behind it. */
static const char *parse_fraction(const char *text, uint64_t *ret_usec)
{
    uint64_t unit = USEC_PER_SEC;
    if (*text != '.' || text[1] < '0' || text[1] > '9')
        return text;
    for (text++; *text >= '0' && *text <= '9'; text++) {
        unit /= 10;
        *ret_usec += (uint64_t)(*text - '0') * unit;
    }
    return text;
}

/* "Z", "+01:00". */
static int parse_zone(const char *text, int *ret_seconds)
{
    int hours, minutes, length = -1;
    char sign;
    *ret_seconds = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return 0;
    if (strlen(text) != 6 || sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &length) != 3 ||
        length != 6 || (sign != '+' && sign != '-') || hours < 0 || hours > 23 || minutes < 0 ||
        minutes > 59)
        return -EINVAL;
    *ret_seconds = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return 0;
}

/* RFC 3339; a blank may stand for the T. */
static int parse_time(const char *text, struct since *ret)
{
    struct tm tm = {0};
    uint64_t fraction = 0;
    int zone;
    const char *rest = strptime(text, "%Y-%m-%d", &tm);
    if (!rest || (*rest != 'T' && *rest != 't' && *rest != ' '))
        return -EINVAL;
    rest = strptime(rest + 1, "%H:%M:%S", &tm);
    if (!rest || parse_zone(parse_fraction(rest, &fraction), &zone) < 0)
        return -EINVAL;
    time_t seconds = timegm(&tm) - zone;
    if (seconds < 0)
        return -EINVAL;
    *ret = (struct since){.time_usec = (uint64_t)seconds * USEC_PER_SEC + fraction};
    return 0;
}

int since_parse(const char *text, uint64_t now_usec, struct since *ret)
{
    if (parse_number(text, ret) == 0 || parse_ago(text, now_usec, ret) == 0)
        return 0;
    return parse_time(text, ret);
}
