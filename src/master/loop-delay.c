#include "master/loop-delay.h"

#include "base/macros.h"

#define WINDOW_USEC (30 * USEC_PER_SEC)

static struct loop_delay moved_to(const struct loop_delay *delay, uint64_t window)
{
    if (window == delay->window)
        return *delay;
    return (struct loop_delay){
        .window = window,
        .longest_before_usec = window == delay->window + 1 ? delay->longest_usec : 0};
}

void loop_delay_note(struct loop_delay *delay, uint64_t now_usec, uint64_t waited_usec)
{
    *delay = moved_to(delay, now_usec / WINDOW_USEC);
    delay->longest_usec = MAX(delay->longest_usec, waited_usec);
}

uint64_t loop_delay_longest(const struct loop_delay *delay, uint64_t now_usec)
{
    struct loop_delay now = moved_to(delay, now_usec / WINDOW_USEC);
    return MAX(now.longest_usec, now.longest_before_usec);
}
