#include "gateway/exposition.h"

#include "base/macros.h"
#include "gateway/accept.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct exposition_labels no_labels;

bool exposition_is_wanted(const char *accept)
{
    return accept_names(accept, "application/openmetrics-text");
}

/* Families */

static const char *type_name(enum exposition_type type, bool openmetrics)
{
    switch (type) {
    case EXPOSITION_COUNTER:
        return "counter";
    case EXPOSITION_GAUGE:
        return "gauge";
    case EXPOSITION_HISTOGRAM:
        return "histogram";
    case EXPOSITION_SUMMARY:
        return "summary";
    case EXPOSITION_INFO:
        return openmetrics ? "info" : "gauge";
    }
    return "unknown";
}

/* Of the one sample that a series of this type has; NULL: it has several. */
static const char *suffix_of(enum exposition_type type)
{
    switch (type) {
    case EXPOSITION_COUNTER:
        return "_total";
    case EXPOSITION_INFO:
        return "_info";
    case EXPOSITION_GAUGE:
    case EXPOSITION_HISTOGRAM:
    case EXPOSITION_SUMMARY:
        return "";
    }
    return "";
}

void exposition_begin(struct exposition *exposition, const struct exposition_family *family)
{
    exposition->family = family;
    exposition->announced = false;
}

static void announce(struct exposition *exposition)
{
    const struct exposition_family *family = exposition->family;
    const char *suffix = exposition->openmetrics ? "" : suffix_of(family->type);
    if (exposition->announced)
        return;
    exposition->announced = true;
    (void)fprintf(exposition->stream, "# HELP %s%s %s\n# TYPE %s%s %s\n", family->name, suffix,
                  family->help, family->name, suffix,
                  type_name(family->type, exposition->openmetrics));
    if (exposition->openmetrics && family->unit)
        (void)fprintf(exposition->stream, "# UNIT %s %s\n", family->name, family->unit);
}

/* Samples */

static void put_escaped(FILE *stream, const char *value)
{
    for (const char *p = value; *p; p++) {
        if (*p == '\n') {
            (void)fputs("\\n", stream);
            continue;
        }
        if (*p == '"' || *p == '\\')
            (void)fputc('\\', stream);
        (void)fputc(*p, stream);
    }
}

static void put_name(struct exposition *exposition, const char *suffix,
                     const struct exposition_labels *labels)
{
    FILE *stream = exposition->stream;
    announce(exposition);
    (void)fprintf(stream, "%s%s", exposition->family->name, suffix);
    for (size_t i = 0; i < labels->n; i++) {
        (void)fprintf(stream, "%s%s=\"", i == 0 ? "{" : ",", labels->list[i].name);
        put_escaped(stream, labels->list[i].value);
        (void)fputc('"', stream);
    }
    (void)fputs(labels->n > 0 ? "} " : " ", stream);
}

/* At least one digit behind the point, as OpenMetrics wants it of a bucket's bound. */
static void format_seconds(uint64_t usec, char text[32])
{
    int length = snprintf(text, 32, "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC,
                          usec % USEC_PER_SEC);
    while (text[length - 1] == '0' && text[length - 2] != '.')
        text[--length] = '\0';
}

static void put_number(struct exposition *exposition, const char *suffix,
                       const struct exposition_labels *labels, uint64_t value)
{
    put_name(exposition, suffix, labels);
    (void)fprintf(exposition->stream, "%" PRIu64 "\n", value);
}

static void put_seconds(struct exposition *exposition, const char *suffix,
                        const struct exposition_labels *labels, uint64_t usec)
{
    char text[32];
    format_seconds(usec, text);
    put_name(exposition, suffix, labels);
    (void)fprintf(exposition->stream, "%s\n", text);
}

void exposition_number(struct exposition *exposition, const struct exposition_labels *labels,
                       uint64_t value)
{
    put_number(exposition, suffix_of(exposition->family->type), labels, value);
}

void exposition_seconds(struct exposition *exposition, const struct exposition_labels *labels,
                        uint64_t usec)
{
    put_seconds(exposition, suffix_of(exposition->family->type), labels, usec);
}

void exposition_summary(struct exposition *exposition, const struct exposition_labels *labels,
                        uint64_t count, uint64_t sum_usec)
{
    put_number(exposition, "_count", labels, count);
    put_seconds(exposition, "_sum", labels, sum_usec);
}

void exposition_bucket(struct exposition *exposition, uint64_t bound_usec, uint64_t count)
{
    char text[32] = "+Inf";
    if (bound_usec != UINT64_MAX)
        format_seconds(bound_usec, text);
    const struct exposition_labels labels = {.list = {{"le", text}}, .n = 1};
    put_number(exposition, "_bucket", &labels, count);
}

void exposition_bucket_sum(struct exposition *exposition, uint64_t count, uint64_t sum_usec)
{
    exposition_summary(exposition, &no_labels, count, sum_usec);
}

void exposition_end(struct exposition *exposition)
{
    if (exposition->openmetrics)
        (void)fputs("# EOF\n", exposition->stream);
}
