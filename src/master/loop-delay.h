/*
 * loop-delay.h - how long what is due has to wait for its turn in the event loop: the longest wait of the last minute or so, and
 * a histogram and the sum of all. No clock here: `now_usec` is the caller's, monotonic.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The last bucket has no bound. */
#define LOOP_DELAY_BUCKETS 13

/* Two windows, so that a long wait is neither forgotten in the next moment nor shown for ever. */
struct loop_delay {
    uint64_t window; /* which one it is, by the clock */
    uint64_t longest_usec, longest_before_usec;
    uint64_t counts[LOOP_DELAY_BUCKETS], sum_usec;
};

void loop_delay_note(struct loop_delay *delay, uint64_t now_usec, uint64_t waited_usec);
/* Of this window and the one before: 30 to 60 s. */
uint64_t loop_delay_longest(const struct loop_delay *delay, uint64_t now_usec);
/* The most that a wait in this bucket took; UINT64_MAX of the last one. */
uint64_t loop_delay_bound(size_t bucket);
