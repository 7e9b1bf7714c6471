/* What a slot's places and timers amount to, in one word for people. */
#include "program/program.h"

#include "base/clock.h"

const char *slot_state_to_string(enum slot_state state)
{
    switch (state) {
    case SLOT_STOPPED:
        return "STOPPED";
    case SLOT_STARTING:
        return "STARTING";
    case SLOT_READY:
        return "READY";
    case SLOT_DRAINING:
        return "DRAINING";
    case SLOT_STOPPING:
        return "STOPPING";
    case SLOT_BACKOFF:
        return "BACKOFF";
    }
    return "?";
}

static bool is_in(const struct worker *worker, enum worker_state state)
{
    return worker && worker->state == state;
}

enum slot_state slot_get_state(const struct slot *slot)
{
    if (is_in(slot->current, WORKER_READY) || is_in(slot->successor, WORKER_READY))
        return SLOT_READY;
    if (slot->current || slot->successor)
        return SLOT_STARTING;
    if (slot->backoff_until_usec > clock_monotonic_usec())
        return SLOT_BACKOFF;
    bool leaving = false;
    LIST_FOREACH (worker, &slot->leaving, struct worker, link) {
        if (worker->state == WORKER_DRAINING)
            return SLOT_DRAINING;
        leaving = true;
    }
    return leaving ? SLOT_STOPPING : SLOT_STOPPED;
}
