#include "reloaderctl/tail-place.h"

#include "base/strv.h"
#include "reloaderctl/field.h"
#include "reloaderctl/screen.h"

#include <string.h>

static bool goes_to(json_t *output, const char *to)
{
    return string_equal(json_string_value(json_object_get(output, "to")), to);
}

bool tail_place_is_live(json_t *output)
{
    return !goes_to(output, "inherit") && !goes_to(output, "null");
}

/* What finds it in the journal. */
static char *make_matches(json_t *output, const char *program, const char *stream, bool whole)
{
    if (whole)
        return string_format("RELOADER_PROGRAM=%s RELOADER_STREAM=%s", program, stream);
    return string_format("RELOADER_PROGRAM=%s RELOADER_SLOT=%llu RELOADER_STREAM=%s", program,
                         (unsigned long long)get_number(output, "slot"), stream);
}

static char *explain_log(json_t *log, const char *subject, const char *matches)
{
    CLEANUP_FREE char *path = get_text(log, "path"), *identifier = get_text(log, "identifier");
    const char *to = json_string_value(json_object_get(log, "to"));
    if (string_equal(to, "journal"))
        return string_format("goes into reloader's own log, in the journal: "
                             "`journalctl SYSLOG_IDENTIFIER=%s %s`",
                             identifier, matches);
    if (string_equal(to, "file"))
        return string_format("goes into reloader's own log, %s: `grep %s %s`", path, subject, path);
    return strdup("goes into reloader's own log, on the stderr that it was started with");
}

static char *explain_to(json_t *output, json_t *log, const char *subject, const char *matches,
                        const char *program)
{
    if (goes_to(output, "null"))
        return strdup("is thrown away");
    if (goes_to(output, "journal"))
        return string_format("goes to the journal: `journalctl %s`", matches);
    if (goes_to(output, "syslog"))
        return string_format("goes to syslog, with the tag %s", program);
    if (goes_to(output, "log"))
        return explain_log(log, subject, matches);
    return strdup("goes where reloader's own went when it was started (to: inherit): a terminal, a "
                  "file, or the journal of its unit; with to: file, journal or log it could be "
                  "watched here");
}

char *tail_place_explain(json_t *output, json_t *log, bool whole)
{
    CLEANUP_FREE char *program = get_text(output, "program"), *name = get_text(output, "name"),
                      *stream = get_text(output, "stream");
    const char *subject = whole ? program : name,
               *real = json_is_true(json_object_get(output, "redirected")) ? "stdout" : stream;
    CLEANUP_FREE char *matches = make_matches(output, program, real, whole);
    CLEANUP_FREE char *where = matches ? explain_to(output, log, subject, matches, program) : NULL;
    char *text = where
                     ? string_format("%s: its %s %s%s", subject, stream, where,
                                     tail_place_is_live(output) ? "; tail -f shows what comes" : "")
                     : NULL;
    if (!text)
        die_of_memory();
    return text;
}
