#include "master/loop-delay.h"

#include "base/macros.h"

#define WINDOW_USEC (30 * USEC_PER_SEC)

static const uint64_t bounds[LOOP_DELAY_BUCKETS] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, UINT64_MAX};

uint64_t loop_delay_bound(size_t bucket)
{
    return bounds[bucket];
}

static void move_to(struct loop_delay *delay, uint64_t window)
{
    if (window == delay->window)
        return;
    delay->longest_before_usec = window == delay->window + 1 ? delay->longest_usec : 0;
    delay->longest_usec = 0;
    delay->window = window;
}

void loop_delay_note(struct loop_delay *delay, uint64_t now_usec, uint64_t waited_usec)
{
    size_t bucket = 0;
    move_to(delay, now_usec / WINDOW_USEC);
    delay->longest_usec = MAX(delay->longest_usec, waited_usec);
    delay->sum_usec += waited_usec;
    while (waited_usec > bounds[bucket])
        bucket++;
    delay->counts[bucket]++;
}

uint64_t loop_delay_longest(const struct loop_delay *delay, uint64_t now_usec)
{
    struct loop_delay now = *delay;
    move_to(&now, now_usec / WINDOW_USEC);
    return MAX(now.longest_usec, now.longest_before_usec);
}
