/*
 * throttle.h - bounds how much work one worker can make of the master.
 *
 * In each window of 100 ms an input may spend a budget; when it is spent the input's event source rests until the window
 * is over, and the kernel's own buffer then makes the writer wait. Costs nothing while nobody floods: the timer is armed
 * only when the budget was overspent.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct throttle {
    unsigned budget; /* units in a window */
    unsigned spent;
    uint64_t began_usec;
    sd_event_source *timer;
};

/* `resume` is called when a window is over in which throttle_spend() had said no. */
int throttle_init(struct throttle *throttle, sd_event *event, unsigned budget,
                  sd_event_time_handler_t resume, void *userdata);
void throttle_clear(struct throttle *throttle);

/* True: go on. False: the budget of this window is spent, rest until `resume`. */
bool throttle_spend(struct throttle *throttle, unsigned units);
