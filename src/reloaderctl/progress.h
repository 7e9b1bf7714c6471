/*
 * progress.h - how far a reload, start, stop or restart is, as seen from outside: from the status before it, the events since,
 * and the status again and again. No input or output here but progress_draw().
 */
#pragma once

#include "reloaderctl/screen.h"

#include <jansson.h>
#include <stdint.h>

/* When a slot is done. */
enum progress_goal {
    PROGRESS_NEWER, /* a worker of a newer generation is ready in it: of a reload, by its events */
    PROGRESS_READY, /* somebody is ready in it, or has done its work; the others by looking */
    PROGRESS_GONE,  /* nobody is in it */
    PROGRESS_REPLACED, /* somebody else is ready in it */
};

struct progress_slot {
    bool counts; /* it was asked for */
    bool moved;  /* it is done */
    int64_t pid; /* of its worker before; 0: it had none */
};

struct progress {
    enum progress_goal goal;
    size_t n_programs;
    struct progress_program {
        char *name;                  /* as in events */
        uint64_t generation;         /* before the reload */
        size_t n_slots;              /* follows the new configuration once its rollout began */
        struct progress_slot *slots; /* n_known of them; those from n_slots on do not count yet */
        size_t n_known;
        bool taken;     /* as a whole or in parts; else it has no line */
        bool shown;     /* there is room for its line */
        bool whole;     /* slots that come count, too */
        size_t awaited; /* targets in it without a result */
        bool ended;     /* it waits for nothing any more */
        char *step;     /* of its rollout, or its result, clean; may be NULL */
        char *latest;   /* what a worker did last, clean; may be NULL */
        char *waits;    /* what it waits for now, clean; NULL: for nothing, as far as known */
    } * programs;
    size_t *drawn; /* the widths of lines on the screen that the next drawing replaces */
    size_t n_drawn;
};

/* From the parameters of Status' reply, for a reload; programs without slots have nothing to show. */
void progress_init(struct progress *progress, json_t *status);
/* The same for anything else: `targets` are {program, ?slot}, all others have no line. */
void progress_aim(struct progress *progress, enum progress_goal goal, json_t *targets);
void progress_clear(struct progress *progress);
#define CLEANUP_PROGRESS CLEANUP(progress_clear)

void progress_event(struct progress *progress, json_t *event);
/* A later status: what it waits for, and but for a reload how far it is. */
void progress_look(struct progress *progress, json_t *status);
/* A target has its result: {program, ?slot, result, ?reason}. */
void progress_target(struct progress *progress, json_t *target);
/* The last word: the final result of Reload. */
void progress_result(struct progress *progress, json_t *result);
size_t progress_moved(const struct progress_program *program);
size_t progress_total(const struct progress_program *program);

/*
 * Draws a line per program over what was drawn last, none longer than the screen is wide nor more than it is high. A terminal that is narrower
 * now is expected to have broken the lines.
 */
void progress_draw(struct progress *progress, const struct screen *screen, uint64_t elapsed_usec,
                   FILE *stream);
