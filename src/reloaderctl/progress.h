/*
 * progress.h - how far a reload is, as seen from outside: from the status before it and the events since. No input or
 * output here but progress_draw().
 */
#pragma once

#include "reloaderctl/screen.h"

#include <jansson.h>
#include <stdint.h>

struct progress {
    size_t n_programs;
    struct progress_program {
        char *name;          /* as in events */
        uint64_t generation; /* before the reload */
        size_t n_slots;      /* follows the new configuration once its rollout began */
        bool *moved;         /* per slot: a worker of a newer generation is ready in it */
        char *step;          /* of its rollout, clean; may be NULL */
        char *latest;        /* what a worker did last, clean; may be NULL */
    } * programs;
    size_t drawn; /* lines on the screen that the next drawing replaces */
};

/* From the parameters of Status' reply; programs without slots have nothing to show. */
void progress_init(struct progress *progress, json_t *status);
void progress_clear(struct progress *progress);
#define CLEANUP_PROGRESS CLEANUP(progress_clear)

void progress_event(struct progress *progress, json_t *event);
/* The last word: the final result of Reload. */
void progress_result(struct progress *progress, json_t *result);
size_t progress_moved(const struct progress_program *program);

/* Draws a line per program over what was drawn last, none longer than the screen is wide nor more than it is high. */
void progress_draw(struct progress *progress, const struct screen *screen, uint64_t elapsed_usec,
                   FILE *stream);
