/*
 * intent.h - what the master is up to, as one ordered value. Pure.
 *
 * RUN < RELOAD < SHUTDOWN < FORCED. Events only ever move it upwards, but for the end of a reload. A reload asked for while
 * one runs becomes the newest wish (several that arrive before it takes effect are one); in a shutdown nothing but force counts.
 */
#pragma once

#include <stdbool.h>

enum intent_type { INTENT_RUN, INTENT_RELOAD, INTENT_SHUTDOWN, INTENT_FORCED };

struct intent {
    enum intent_type type;
    bool reload_wanted; /* a reload was asked for and has not begun; only in RUN and RELOAD */
};

enum intent_event {
    INTENT_EVENT_RELOAD,       /* somebody asks for one */
    INTENT_EVENT_RELOAD_BEGAN, /* the newest wish is being carried out; one that ran is superseded by this, without an end of its own */
    INTENT_EVENT_RELOAD_ENDED, /* the one that runs, with whatever result; or it was refused */
    INTENT_EVENT_SHUTDOWN,     /* INT, TERM, Shutdown(): the second one forces */
    INTENT_EVENT_FORCE,        /* QUIT, Shutdown(force) */
};

struct intent intent_next(struct intent intent, enum intent_event event);
