/*
 * Events are read until there are none, then the descriptor rests for a moment: however much happens, it wakes us ten times
 * a second at most, and what happens meanwhile waits in the kernel's queue.
 *
 * Each watch that is removed puts an IN_IGNORED into that queue, so that removing many at once would overflow it.
 * They are removed a few at a time, with the queue emptied in between.
 */
#include "program/inotify.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

#define REST_USEC      (100 * USEC_PER_MSEC)
#define READ_MAX_USEC  (4 * USEC_PER_MSEC)
#define BUFFER_SIZE    ((size_t)16 * 1024)
#define REMOVE_AT_ONCE 256
#define BUCKETS_FIRST  64

/* A directory that is watched. */
struct inotify_place {
    struct inotify *inotify;
    struct inotify_place *next; /* in its bucket */
    int wd;                     /* -1: the kernel has dropped it */
    bool dispatching;
    struct list marks;
    struct list idle; /* while it has no marks, until it is removed */
};

struct inotify {
    int fd;
    sd_event_source *source, *rest, *removal;
    void (*overflowed)(void *userdata);
    void *userdata;
    struct inotify_place **buckets;
    size_t n_buckets;
    unsigned n_places;
    struct list idle;
    struct list *next_mark; /* of the event that is dispatched */
};

/* The table of watch descriptors */

static struct inotify_place **find_place(const struct inotify *inotify, int wd)
{
    struct inotify_place **at = &inotify->buckets[(size_t)wd & (inotify->n_buckets - 1)];
    while (*at && (*at)->wd != wd)
        at = &(*at)->next;
    return at;
}

static void put_place(struct inotify *inotify, struct inotify_place *place)
{
    struct inotify_place **at = find_place(inotify, place->wd);
    place->next = *at;
    *at = place;
}

/* When memory is short the buckets are just longer. */
static void grow_table(struct inotify *inotify)
{
    struct inotify_place **old = inotify->buckets;
    size_t n = inotify->n_buckets;
    struct inotify_place **buckets = calloc(2 * n, sizeof(*buckets));
    if (!buckets)
        return;
    inotify->buckets = buckets;
    inotify->n_buckets = 2 * n;
    for (size_t i = 0; i < n; i++)
        for (struct inotify_place *place = old[i], *next; place; place = next) {
            next = place->next;
            put_place(inotify, place);
        }
    free(old);
}

static int add_place(struct inotify *inotify, int wd, struct inotify_place **ret)
{
    struct inotify_place *place = calloc(1, sizeof(*place));
    if (!place)
        return -ENOMEM;
    if (inotify->n_places >= inotify->n_buckets)
        grow_table(inotify);
    place->inotify = inotify;
    place->wd = wd;
    list_init(&place->marks);
    list_init(&place->idle);
    put_place(inotify, place);
    inotify->n_places++;
    *ret = place;
    return 0;
}

/* The kernel knows it no more: who has a mark on it keeps the place until he clears that. */
static void forget_place(struct inotify_place *place)
{
    struct inotify *inotify = place->inotify;
    struct inotify_place **at = find_place(inotify, place->wd);
    *at = place->next;
    place->next = NULL;
    place->wd = -1;
    list_remove(&place->idle);
    inotify->n_places--;
}

static void free_if_dead(struct inotify_place *place)
{
    if (place->wd < 0 && !place->dispatching && list_is_empty(&place->marks))
        free(place);
}

/* Marks */

void inotify_clear(struct inotify_mark *mark)
{
    struct inotify_place *place = TAKE_PTR(mark->place);
    if (!place)
        return;
    struct inotify *inotify = place->inotify;
    if (inotify->next_mark == &mark->link)
        inotify->next_mark = mark->link.next;
    list_remove(&mark->link);
    if (place->wd < 0) {
        free_if_dead(place);
    } else if (list_is_empty(&place->marks)) {
        list_append(&inotify->idle, &place->idle);
        (void)sd_event_source_set_enabled(inotify->removal, SD_EVENT_ON);
    }
}

int inotify_set(struct inotify *inotify, const char *path, uint32_t mask, struct inotify_mark *mark)
{
    inotify_clear(mark);
    int wd = inotify_add_watch(inotify->fd, path, mask | IN_MASK_ADD | IN_ONLYDIR | IN_DONT_FOLLOW);
    if (wd < 0)
        return -errno;
    struct inotify_place *place = *find_place(inotify, wd);
    int r = place ? 0 : add_place(inotify, wd, &place);
    if (r < 0) {
        (void)inotify_rm_watch(inotify->fd, wd);
        return r;
    }
    list_remove(&place->idle);
    list_append(&place->marks, &mark->link);
    mark->place = place;
    return 0;
}

bool inotify_is_set(const struct inotify_mark *mark)
{
    return mark->place && mark->place->wd >= 0;
}

unsigned inotify_count(const struct inotify *inotify)
{
    return inotify->n_places;
}

/* Events */

static void dispatch(struct inotify *inotify, const struct inotify_event *event)
{
    struct inotify_place *place = event->wd >= 0 ? *find_place(inotify, event->wd) : NULL;
    if (event->mask & IN_Q_OVERFLOW)
        inotify->overflowed(inotify->userdata);
    if (!place)
        return;
    if (event->mask & IN_IGNORED)
        forget_place(place);
    place->dispatching = true;
    inotify->next_mark = place->marks.next;
    while (inotify->next_mark != &place->marks) {
        struct inotify_mark *mark = LIST_ENTRY(inotify->next_mark, struct inotify_mark, link);
        inotify->next_mark = mark->link.next;
        mark->happened(mark, event->mask, event->len > 0 ? event->name : "");
    }
    inotify->next_mark = NULL;
    place->dispatching = false;
    free_if_dead(place);
}

/* True if there may be more. */
static bool read_some(struct inotify *inotify)
{
    _Alignas(struct inotify_event) char buffer[BUFFER_SIZE];
    ssize_t n = read(inotify->fd, buffer, sizeof(buffer));
    const char *end = buffer + MAX(n, (ssize_t)0);
    for (const char *at = buffer; at < end;) {
        const struct inotify_event *event = (const void *)at;
        dispatch(inotify, event);
        at += sizeof(*event) + event->len;
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

/* For a bounded time. True: it is empty. */
static bool empty_queue(struct inotify *inotify)
{
    uint64_t began = clock_monotonic_usec();
    while (read_some(inotify))
        if (clock_monotonic_usec() - began > READ_MAX_USEC)
            return false;
    return true;
}

void inotify_catch_up(struct inotify *inotify)
{
    (void)empty_queue(inotify);
}

static int on_events(sd_event_source *source, int fd UNUSED, uint32_t events UNUSED, void *userdata)
{
    struct inotify *inotify = userdata;
    if (!empty_queue(inotify))
        return 0;
    /* Without the timer it would rest for ever: then it does not rest. */
    if (sd_event_source_set_time(inotify->rest, clock_monotonic_usec() + REST_USEC) >= 0 &&
        sd_event_source_set_enabled(inotify->rest, SD_EVENT_ONESHOT) >= 0)
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    return 0;
}

static int on_rested(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    const struct inotify *inotify = userdata;
    (void)sd_event_source_set_enabled(inotify->source, SD_EVENT_ON);
    return 0;
}

static int on_removal(sd_event_source *source, void *userdata)
{
    struct inotify *inotify = userdata;
    for (unsigned i = 0; i < REMOVE_AT_ONCE && !list_is_empty(&inotify->idle); i++) {
        struct inotify_place *place = LIST_ENTRY(inotify->idle.next, struct inotify_place, idle);
        (void)inotify_rm_watch(inotify->fd, place->wd);
        forget_place(place);
        free_if_dead(place);
    }
    (void)empty_queue(inotify);
    if (list_is_empty(&inotify->idle))
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    return 0;
}

/* Its life */

static int add_sources(struct inotify *inotify, sd_event *event)
{
    int r = sd_event_add_io(event, &inotify->source, inotify->fd, EPOLLIN, on_events, inotify);
    if (r >= 0)
        r = sd_event_add_time(event, &inotify->rest, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_rested,
                              inotify);
    if (r >= 0)
        r = sd_event_source_set_enabled(inotify->rest, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(event, &inotify->removal, on_removal, inotify);
    if (r >= 0)
        r = sd_event_source_set_enabled(inotify->removal, SD_EVENT_OFF);
    /* Of all pending sources of one priority such a one comes first, always. */
    if (r >= 0)
        r = sd_event_source_set_priority(inotify->removal, INOTIFY_WORK_PRIORITY);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(inotify->source, "inotify");
    (void)sd_event_source_set_description(inotify->rest, "inotify-rest");
    (void)sd_event_source_set_description(inotify->removal, "inotify-removal");
    return 0;
}

int inotify_new(sd_event *event, void (*overflowed)(void *userdata), void *userdata,
                struct inotify **ret)
{
    CLEANUP(inotify_freep) struct inotify *inotify = calloc(1, sizeof(*inotify));
    if (!inotify)
        return -ENOMEM;
    *inotify = (struct inotify){
        .overflowed = overflowed,
        .userdata = userdata,
        .buckets = calloc(BUCKETS_FIRST, sizeof(*inotify->buckets)),
        .n_buckets = BUCKETS_FIRST,
        .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
    };
    list_init(&inotify->idle);
    if (inotify->fd < 0)
        return -errno;
    int r = inotify->buckets ? add_sources(inotify, event) : -ENOMEM;
    if (r == 0)
        *ret = TAKE_PTR(inotify);
    return r;
}

struct inotify *inotify_free(struct inotify *inotify)
{
    if (!inotify)
        return NULL;
    (void)sd_event_source_disable_unref(inotify->source);
    (void)sd_event_source_disable_unref(inotify->rest);
    (void)sd_event_source_disable_unref(inotify->removal);
    (void)fd_close(inotify->fd);
    for (size_t i = 0; inotify->buckets && i < inotify->n_buckets; i++)
        for (struct inotify_place *place = inotify->buckets[i], *next; place; place = next) {
            next = place->next;
            free(place);
        }
    free(inotify->buckets);
    free(inotify);
    return NULL;
}
