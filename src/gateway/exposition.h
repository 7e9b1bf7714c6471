/*
 * exposition.h - the text that Prometheus reads, in both of its formats: OpenMetrics 1.0 (which names a family without the suffix of its samples, knows units and
 * `info`, and says where it ends) and the older text format 0.0.4.
 *
 * A family is announced with its first sample: one without samples is not there at all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPOSITION_TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define EXPOSITION_TYPE_TEXT        "text/plain; version=0.0.4; charset=utf-8"

enum exposition_type {
    EXPOSITION_COUNTER,
    EXPOSITION_GAUGE,
    EXPOSITION_HISTOGRAM,
    EXPOSITION_SUMMARY,
    EXPOSITION_INFO,
};

struct exposition_family {
    const char *name; /* without _total and _info; with its unit at the end */
    enum exposition_type type;
    const char *unit; /* NULL: it counts things */
    const char *help; /* one line without backslashes, a sentence */
};

struct exposition_label {
    const char *name, *value; /* any UTF-8 */
};

#define EXPOSITION_LABELS_MAX 4

struct exposition_labels {
    struct exposition_label list[EXPOSITION_LABELS_MAX];
    size_t n;
};

struct exposition {
    FILE *stream; /* borrowed */
    bool openmetrics;
    const struct exposition_family *family; /* of the samples that come */
    bool announced;
};

/* Does this Accept header (NULL: none) take OpenMetrics? */
bool exposition_is_wanted(const char *accept);

/* Samples of this family follow, all of them. It is borrowed until the next one. */
void exposition_begin(struct exposition *exposition, const struct exposition_family *family);
/* Of a counter, gauge, or info. */
void exposition_number(struct exposition *exposition, const struct exposition_labels *labels,
                       uint64_t value);
/* Likewise: microseconds, told in seconds. */
void exposition_seconds(struct exposition *exposition, const struct exposition_labels *labels,
                        uint64_t usec);
/* Of a summary: how many, and how long together. */
void exposition_summary(struct exposition *exposition, const struct exposition_labels *labels,
                        uint64_t count, uint64_t sum_usec);
/*
 * Of a histogram of times: each bucket has those before it in it; the last one's bound is UINT64_MAX. The sum comes after all of them.
 */
void exposition_bucket(struct exposition *exposition, uint64_t bound_usec, uint64_t count);
void exposition_bucket_sum(struct exposition *exposition, uint64_t count, uint64_t sum_usec);

void exposition_end(struct exposition *exposition);
