/*
 * hook-queue.h - hooks that wait to be run, and those that are: who is next, and who is one too many. Starts nothing itself.
 *
 * Each program has a lane of its own, and lanes take turns: a flood of one program's events costs that one some of them, and nobody else's hook waits
 * for one that hangs, as a place is always left to another program. What is said of an event is there once, however many hooks it is for.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "worker/generation.h"

#include <stdbool.h>

#define HOOKS_RUNNING_MAX      4  /* in all */
#define HOOKS_RUNNING_LANE_MAX 3  /* of one program */
#define HOOKS_WAITING_LANE_MAX 64 /* likewise */

struct oneshot;

struct hook_text {
    unsigned references;
    size_t size;
    char data[];
};

struct hook {
    struct list link;
    struct hook_lane *lane;
    struct generation *generation; /* in force when it happened */
    struct hook_text *text;
    const char *event;   /* what it is called; static text */
    struct oneshot *run; /* its owner's; NULL: not started */
};

struct hook_lane {
    struct list link;
    char *program;
    struct generation *generation; /* for the next hook; the owner's to set. A reference */
    struct list waiting, running;
    unsigned n_waiting, n_running;
    uint64_t n_dropped; /* until somebody was told */
};

struct hook_queue {
    struct list lanes; /* the next to have its turn comes first */
    unsigned n_waiting, n_running;
};

void hook_queue_init(struct hook_queue *queue);
/* All that wait are gone, and all lanes. None may be running. */
void hook_queue_clear(struct hook_queue *queue);

/* Copies. NULL: out of memory. */
struct hook_text *hook_text_new(const char *data, size_t size);
struct hook_text *hook_text_unref(struct hook_text *text);
DEFINE_FREEP(struct hook_text *, hook_text_unref)

/* A program's; makes it. NULL: out of memory. */
struct hook_lane *hook_queue_lane(struct hook_queue *queue, const char *program);
/* For the lane's generation; a reference to the text is taken. 0, -ENOBUFS or -ENOMEM: dropped, and counted. */
int hook_queue_push(struct hook_queue *queue, struct hook_lane *lane, struct hook_text *text,
                    const char *event);
/* One that counts as running from now on, or NULL: none may be started now. */
struct hook *hook_queue_next(struct hook_queue *queue);
/* It does not run any more, and is freed. */
void hook_queue_end(struct hook_queue *queue, struct hook *hook);
/* Frees lanes that nobody needs. */
void hook_queue_prune(struct hook_queue *queue);
