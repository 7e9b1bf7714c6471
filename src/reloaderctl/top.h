/* top.h - looking at the master again and again: top, and status -w. */
#pragma once

#include "reloaderctl/commands.h"
#include "reloaderctl/top-frame.h"

struct top_kind {
    /* The lines to show, malloc-ed: as many as there are if the screen is no terminal, else those from view->first on. NULL: those of top. */
    char *(*frame)(json_t *status, bool pss, struct top_view *view, const struct screen *screen);
    /* The exit code when somebody ends it, by the last status. NULL: always 0. */
    int (*code)(json_t *status);
};

int top_run(const struct invocation *invocation, const struct top_kind *kind);
