/* histogram.h - latencies in microseconds, kept with an error below 2 percent in constant space. */
#pragma once

#include "base/macros.h"

#define HISTOGRAM_BUCKETS 2048

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count, max;
};

void histogram_add(struct histogram *histogram, uint64_t usec);
/* How many values are greater than `usec`, within the histogram's error. */
uint64_t histogram_above(const struct histogram *histogram, uint64_t usec);
/* The value that `share` (0 to 1) of all values do not exceed; 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);
