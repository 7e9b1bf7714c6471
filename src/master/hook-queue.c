#include "master/hook-queue.h"

#include <errno.h>
#include <string.h>

void hook_queue_init(struct hook_queue *queue)
{
    *queue = (struct hook_queue){0};
    list_init(&queue->lanes);
}

/* What is said */

struct hook_text *hook_text_new(const char *data, size_t size)
{
    struct hook_text *text = malloc(sizeof(*text) + size);
    if (!text)
        return NULL;
    text->references = 1;
    text->size = size;
    memcpy(text->data, data, size);
    return text;
}

struct hook_text *hook_text_unref(struct hook_text *text)
{
    if (text && --text->references == 0)
        free(text);
    return NULL;
}

/* Lanes */

static void lane_free(struct hook_lane *lane)
{
    if (!lane)
        return;
    list_remove(&lane->link);
    (void)generation_unref(lane->generation);
    free(lane->program);
    free(lane);
}

struct hook_lane *hook_queue_lane(struct hook_queue *queue, const char *program)
{
    LIST_FOREACH (lane, &queue->lanes, struct hook_lane, link)
        if (strcmp(lane->program, program) == 0)
            return lane;
    struct hook_lane *lane = calloc(1, sizeof(*lane));
    if (!lane)
        return NULL;
    list_init(&lane->link);
    list_init(&lane->waiting);
    list_init(&lane->running);
    lane->program = strdup(program);
    if (!lane->program) {
        lane_free(lane);
        return NULL;
    }
    list_append(&queue->lanes, &lane->link);
    return lane;
}

void hook_queue_prune(struct hook_queue *queue)
{
    LIST_FOREACH_SAFE (lane, &queue->lanes, struct hook_lane, link)
        if (lane->n_waiting == 0 && lane->n_running == 0 && lane->n_dropped == 0)
            lane_free(lane);
}

/* Hooks */

static void hook_free(struct hook *hook)
{
    list_remove(&hook->link);
    (void)generation_unref(hook->generation);
    (void)hook_text_unref(hook->text);
    free(hook);
}

int hook_queue_push(struct hook_queue *queue, struct hook_lane *lane, struct hook_text *text,
                    const char *event)
{
    bool is_full = lane->n_waiting >= HOOKS_WAITING_LANE_MAX;
    struct hook *hook = is_full ? NULL : malloc(sizeof(*hook));
    if (!hook) {
        lane->n_dropped++;
        return is_full ? -ENOBUFS : -ENOMEM;
    }
    *hook = (struct hook){.lane = lane, .text = text, .event = event};
    text->references++;
    if (lane->generation)
        hook->generation = generation_ref(lane->generation);
    list_append(&lane->waiting, &hook->link);
    lane->n_waiting++;
    queue->n_waiting++;
    return 0;
}

static struct hook *take_first(struct hook_queue *queue, struct hook_lane *lane)
{
    struct hook *hook = LIST_ENTRY(lane->waiting.next, struct hook, link);
    list_remove(&hook->link);
    list_append(&lane->running, &hook->link);
    lane->n_waiting--;
    lane->n_running++;
    queue->n_waiting--;
    queue->n_running++;
    list_remove(&lane->link);
    list_append(&queue->lanes, &lane->link);
    return hook;
}

struct hook *hook_queue_next(struct hook_queue *queue)
{
    if (queue->n_running >= HOOKS_RUNNING_MAX)
        return NULL;
    LIST_FOREACH (lane, &queue->lanes, struct hook_lane, link)
        if (lane->n_waiting > 0 && lane->n_running < HOOKS_RUNNING_LANE_MAX)
            return take_first(queue, lane);
    return NULL;
}

void hook_queue_end(struct hook_queue *queue, struct hook *hook)
{
    hook->lane->n_running--;
    queue->n_running--;
    hook_free(hook);
}

void hook_queue_clear(struct hook_queue *queue)
{
    LIST_FOREACH_SAFE (lane, &queue->lanes, struct hook_lane, link) {
        LIST_FOREACH_SAFE (hook, &lane->waiting, struct hook, link)
            hook_free(hook);
        lane_free(lane);
    }
    hook_queue_init(queue);
}
