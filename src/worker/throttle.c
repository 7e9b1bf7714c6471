#include "worker/throttle.h"

#include "base/clock.h"

#define THROTTLE_WINDOW_USEC (100 * USEC_PER_MSEC)

int throttle_init(struct throttle *throttle, sd_event *event, unsigned budget,
                  sd_event_time_handler_t resume, void *userdata)
{
    *throttle = (struct throttle){.budget = budget};
    int r = sd_event_add_time(event, &throttle->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, resume,
                              userdata);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(throttle->timer, "throttle");
    return sd_event_source_set_enabled(throttle->timer, SD_EVENT_OFF);
}

void throttle_clear(struct throttle *throttle)
{
    throttle->timer = sd_event_source_disable_unref(throttle->timer);
}

bool throttle_spend(struct throttle *throttle, unsigned units)
{
    uint64_t now = clock_monotonic_usec();
    if (now - throttle->began_usec >= THROTTLE_WINDOW_USEC) {
        throttle->began_usec = now;
        throttle->spent = 0;
    }
    throttle->spent += units;
    if (throttle->spent < throttle->budget)
        return true;
    /* Without the timer the input would rest for ever: if it cannot be armed, the flood is the lesser evil. */
    return sd_event_source_set_time(throttle->timer, throttle->began_usec + THROTTLE_WINDOW_USEC) <
               0 ||
           sd_event_source_set_enabled(throttle->timer, SD_EVENT_ONESHOT) < 0;
}
