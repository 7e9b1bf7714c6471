/*
 * live.h - the lines of a command that waits, on a terminal: drawn as things happen, and every half second. Over a second connection the
 * status is asked for meanwhile, which tells what is waited for; where that fails there is just less to tell.
 */
#pragma once

#include "reloaderctl/client.h"
#include "reloaderctl/progress.h"

#define LIVE_REDRAW_USEC (500 * USEC_PER_MSEC)

struct live {
    bool on; /* else all of the below do nothing */
    struct progress progress;
    struct client observer;
    bool asked; /* the observer, and it has not answered yet */
    uint64_t began_usec, looked_usec;
};

/* `status` is that before it all began; borrowed. Call live_clear() even if it is not `on`. */
void live_begin(struct live *live, bool on, const char *socket, json_t *status);
void live_draw(struct live *live);
/* Asks and hears the observer if it is time, and draws. */
void live_look(struct live *live);
/* The last look, for which it takes the time that an answer needs. */
void live_finish(struct live *live);
void live_clear(struct live *live);
