#include "probe/report.h"

#include <stdio.h>
#include <string.h>

static bool is_news(const struct report *report, bool counts, bool good, const char *text)
{
    if (!report->said || good != report->good)
        return true;
    if (good)
        return false;
    return counts || strncmp(report->text, text, REPORT_TEXT_SIZE - 1) != 0;
}

bool report_next(struct report *report, bool counts, bool good, const char *text)
{
    if (!is_news(report, counts, good, text))
        return false;
    report->said = true;
    report->good = good;
    (void)snprintf(report->text, sizeof(report->text), "%s", text);
    return true;
}
