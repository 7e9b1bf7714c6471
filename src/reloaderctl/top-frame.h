/* top-frame.h - one look of `top` as text. */
#pragma once

#include "reloaderctl/screen.h"
#include "reloaderctl/top-rows.h"

struct top_view {
    enum top_order order;
    bool reverse;
    bool pss;     /* memory is that */
    bool utf8;    /* graphs may be drawn with it */
    bool help;    /* the keys, in place of the workers */
    size_t first; /* the first row that is shown; top_frame() keeps it within what there is */
    size_t page;  /* how many rows were shown; set by top_frame() */
    const char *trouble; /* told in place of the reload; or NULL */
};

/*
 * Lines, none wider than the screen nor more than it is high, each ended by '\n'; malloc-ed. `rows` are in the view's order. Where there is no terminal,
 * that is all there is.
 */
char *top_frame(const struct top_rows *rows, json_t *status, struct top_view *view,
                const struct screen *screen);

/* The order that a key asks for; false: none. */
bool top_order_of_key(int key, enum top_order *ret);
