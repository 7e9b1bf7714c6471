/* histogram.c - 64 buckets for each doubling: below 128 every value has its own. */
#include "loadgen/histogram.h"

#define SUB_BITS 6

static size_t bucket_of(uint64_t value)
{
    if (value < 2u << SUB_BITS)
        return (size_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - SUB_BITS;
    size_t bucket = ((size_t)shift << SUB_BITS) + (size_t)(value >> shift);
    return MIN(bucket, (size_t)HISTOGRAM_BUCKETS - 1);
}

static uint64_t highest_of(size_t bucket)
{
    if (bucket < 2u << SUB_BITS)
        return bucket;
    unsigned shift = (unsigned)(bucket >> SUB_BITS) - 1;
    uint64_t lead = bucket - ((size_t)shift << SUB_BITS);
    return ((lead + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t usec)
{
    histogram->buckets[bucket_of(usec)]++;
    histogram->count++;
    histogram->max = MAX(histogram->max, usec);
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count + 0.5), seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen >= MAX(wanted, (uint64_t)1))
            return MIN(highest_of(i), histogram->max);
    }
    return histogram->max;
}

uint64_t histogram_above(const struct histogram *histogram, uint64_t usec)
{
    uint64_t above = 0;
    for (size_t i = bucket_of(usec) + 1; i < HISTOGRAM_BUCKETS; i++)
        above += histogram->buckets[i];
    return above;
}
