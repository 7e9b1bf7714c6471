/* report.h - which results of a check the master is told. Pure. */
#pragma once

#include <stdbool.h>

#define REPORT_TEXT_SIZE 256

struct report {
    bool said; /* something; and the last of it was: */
    bool good;
    char text[REPORT_TEXT_SIZE];
};

/*
 * Is this to be told? Then it is what was said last. What is good is told where it was not so before. What is bad, each time if the
 * failures are counted, else where it is bad for another reason than before.
 */
bool report_next(struct report *report, bool counts, bool good, const char *text);
