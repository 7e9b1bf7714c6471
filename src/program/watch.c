/*
 * The watcher, whose queue of work belongs to all watches, and a watch itself: it counts changes and reports them when they rest.
 */
#include "program/watch-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>

#define SLICE_USEC (2 * USEC_PER_MSEC)
#define RETRY_USEC USEC_PER_SEC

struct watcher {
    struct inotify *inotify;
    sd_event *event;
    sd_event_source *work, *retry;
    struct list tasks, watches;
    struct list late; /* tasks that lacked a descriptor */
};

/* Work */

void watch_task_init(struct watch_task *task, struct watch *watch,
                     bool (*run)(struct watch_task *task))
{
    *task = (struct watch_task){.watch = watch, .run = run};
    list_init(&task->link);
}

void watch_task_queue(struct watch_task *task)
{
    struct watcher *watcher = task->watch->params.watcher;
    if (!list_is_empty(&task->link))
        return;
    list_append(&watcher->tasks, &task->link);
    task->watch->n_tasks++;
    (void)sd_event_source_set_enabled(watcher->work, SD_EVENT_ON);
}

void watch_task_cancel(struct watch_task *task)
{
    if (list_is_empty(&task->link))
        return;
    list_remove(&task->link);
    task->watch->n_tasks--;
}

void watch_task_put_off(struct watch_task *task)
{
    struct watcher *watcher = task->watch->params.watcher;
    list_remove(&task->link);
    list_append(&watcher->late, &task->link);
    (void)sd_event_source_set_time(watcher->retry, clock_monotonic_usec() + RETRY_USEC);
    (void)sd_event_source_set_enabled(watcher->retry, SD_EVENT_ONESHOT);
}

static int on_retry(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct watcher *watcher = userdata;
    list_move_all(&watcher->late, &watcher->tasks);
    (void)sd_event_source_set_enabled(watcher->work, SD_EVENT_ON);
    return 0;
}

static void work(struct watcher *watcher)
{
    uint64_t began = clock_monotonic_usec();
    while (!list_is_empty(&watcher->tasks)) {
        struct watch_task *task = LIST_ENTRY(watcher->tasks.next, struct watch_task, link);
        if (task->run(task))
            watch_task_cancel(task);
        if (clock_monotonic_usec() - began > SLICE_USEC)
            break;
    }
    if (list_is_empty(&watcher->tasks))
        (void)sd_event_source_set_enabled(watcher->work, SD_EVENT_OFF);
}

static int on_work(sd_event_source *source UNUSED, void *userdata)
{
    work(userdata);
    return 0;
}

void watcher_catch_up(struct watcher *watcher)
{
    inotify_catch_up(watcher->inotify);
    work(watcher);
}

static void on_overflow(void *userdata)
{
    const struct watcher *watcher = userdata;
    LIST_FOREACH (watch, &watcher->watches, struct watch, link) {
        watch_count(watch, NULL, NULL);
        LIST_FOREACH (route, &watch->routes, struct watch_route, link)
            watch_route_queue_all(route);
    }
}

int watcher_new(sd_event *event, struct watcher **ret)
{
    CLEANUP(watcher_freep) struct watcher *watcher = calloc(1, sizeof(*watcher));
    if (!watcher)
        return -ENOMEM;
    list_init(&watcher->tasks);
    list_init(&watcher->late);
    list_init(&watcher->watches);
    watcher->event = sd_event_ref(event);
    int r = inotify_new(event, on_overflow, watcher, &watcher->inotify);
    if (r >= 0)
        r = sd_event_add_defer(event, &watcher->work, on_work, watcher);
    if (r >= 0)
        r = sd_event_source_set_enabled(watcher->work, SD_EVENT_OFF);
    /* Of all pending sources of one priority such a one comes first, always. */
    if (r >= 0)
        r = sd_event_source_set_priority(watcher->work, INOTIFY_WORK_PRIORITY);
    if (r >= 0)
        r = sd_event_add_time(event, &watcher->retry, CLOCK_MONOTONIC, 0, 0, on_retry, watcher);
    if (r >= 0)
        r = sd_event_source_set_enabled(watcher->retry, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(watcher->retry, "watch-retry");
    (void)sd_event_source_set_description(watcher->work, "watch-work");
    *ret = TAKE_PTR(watcher);
    return 0;
}

struct watcher *watcher_free(struct watcher *watcher)
{
    if (!watcher)
        return NULL;
    (void)sd_event_source_disable_unref(watcher->work);
    (void)sd_event_source_disable_unref(watcher->retry);
    (void)inotify_free(watcher->inotify);
    (void)sd_event_unref(watcher->event);
    free(watcher);
    return NULL;
}

struct inotify *watch_inotify(const struct watch *watch)
{
    return watch->params.watcher->inotify;
}

/* Changes */

/* A delay after the last change, but not put off for ever. */
static void arm(struct watch *watch)
{
    uint64_t delay = watch->params.delay_usec;
    uint64_t due = MIN(watch->last_usec + delay, watch->first_usec + WATCH_DELAYS_MAX * delay);
    (void)sd_event_source_set_time(watch->timer, due);
    (void)sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static uint64_t change_time(const struct stat *st)
{
    return (uint64_t)st->st_ctim.tv_sec * USEC_PER_SEC +
           (uint64_t)st->st_ctim.tv_nsec / NSEC_PER_USEC;
}

/* It may have happened before we heard of it. */
static uint64_t happened(const struct watch *watch, const struct stat *st)
{
    uint64_t now = clock_realtime_usec(), changed = st ? change_time(st) : now;
    uint64_t age = changed < now ? now - changed : 0;
    return age < watch->last_usec ? watch->last_usec - age : 0;
}

void watch_count(struct watch *watch, const char *path, const struct stat *st)
{
    watch->last_usec = clock_monotonic_usec();
    uint64_t happened_usec = happened(watch, st);
    watch->happened_usec = MAX(watch->n_changes > 0 ? watch->happened_usec : 0, happened_usec);
    if (watch->n_changes == 0)
        watch->first_usec = watch->last_usec;
    if (watch->n_kept == watch->n_changes && watch->n_kept < WATCH_CHANGES_KEPT)
        watch->changes[watch->n_kept++] = (struct watch_change){.path = path ? strdup(path) : NULL,
                                                                .happened_usec = happened_usec};
    watch->n_changes += watch->n_changes < UINT32_MAX;
    arm(watch);
}

bool watch_is_recent(const struct watch *watch, const struct stat *st)
{
    uint64_t changed = change_time(st);
    return watch->params.since_usec > 0 && changed > watch->params.since_usec &&
           changed <= clock_realtime_usec();
}

/* Those kept that happened up to then; the others close up. */
static void drop_kept(struct watch *watch, uint64_t until_usec)
{
    unsigned n = 0;
    for (unsigned i = 0; i < watch->n_kept; i++) {
        if (watch->changes[i].happened_usec <= until_usec)
            free(watch->changes[i].path);
        else
            watch->changes[n++] = watch->changes[i];
    }
    watch->n_changes -= watch->n_kept - n;
    watch->n_kept = n;
}

static void drop_all(struct watch *watch)
{
    drop_kept(watch, UINT64_MAX);
    watch->n_changes = 0;
}

static int on_rest(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    struct watch *watch = userdata;
    unsigned n = watch->n_changes;
    CLEANUP_FREE char *path = watch->n_kept > 0 ? TAKE_PTR(watch->changes[0].path) : NULL;
    drop_all(watch);
    if (n > 0)
        watch->params.changed(watch, path, n, watch->params.userdata);
    return 0;
}

void watch_forget(struct watch *watch, uint64_t until_usec)
{
    if (watch->happened_usec <= until_usec)
        drop_all(watch);
    else
        drop_kept(watch, until_usec);
    if (watch->n_changes == 0)
        (void)sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
}

/* What cannot be watched */

void watch_tell(const struct watch *watch, const char *text)
{
    const char *program = watch->params.program;
    if (program)
        log_about((struct log_subject){.program = program}, LOG_LEVEL_WARNING, "watch: %s", text);
    else
        log_warning("watch_config: %s", text);
}

static char *describe_failure(const struct watch *watch, const char *path, int error)
{
    switch (error) {
    case ENOSPC:
        return string_format("cannot watch '%s': the system watches no more directories for this "
                             "user, %u of them are ours: raise fs.inotify.max_user_watches "
                             "(sysctl), or name in watch_ignore what needs no watching",
                             path, inotify_count(watch_inotify(watch)));
    case E2BIG:
        return string_format("cannot watch '%s': there are more than %d directories and links "
                             "below its paths: name in watch_ignore what needs no watching",
                             path, WATCH_ENTRIES_MAX);
    case ELOOP:
        return string_format("cannot watch '%s': it is more than %d directories deep", path,
                             WATCH_DEPTH_MAX);
    }
    return string_format("cannot watch '%s': %s; changes there go unnoticed", path,
                         strerror(error));
}

/* Once for each kind of failure: there may be thousands. */
void watch_tell_failure(struct watch *watch, const char *path, int error)
{
    bool *told = error == ENOSPC || error == E2BIG ? &watch->told_space
                 : error == ELOOP                  ? &watch->told_depth
                                                   : &watch->told_access;
    /* It went just now, and that will be seen. */
    if (error == ENOENT || error == ENOTDIR)
        return;
    watch->incomplete = true;
    if (*told)
        return;
    *told = true;
    CLEANUP_FREE char *text = describe_failure(watch, path, error);
    if (text)
        watch_tell(watch, text);
}

void watch_tell_shortage(struct watch *watch, const char *path, int error)
{
    if (watch->told_shortage)
        return;
    watch->told_shortage = true;
    CLEANUP_FREE char *text = string_format("cannot watch '%s': %s; it is tried again", path,
                                            strerror(error));
    if (text)
        watch_tell(watch, text);
}

bool watch_is_settled(const struct watch *watch)
{
    return watch->n_tasks == 0;
}

bool watch_is_complete(const struct watch *watch)
{
    return !watch->incomplete;
}

/* Its life */

static int add_route(struct watch *watch, const char *path)
{
    struct pattern **at = &watch->patterns[watch->n_patterns];
    const char *reason;
    int r = pattern_new(path, at, &reason);
    if (r < 0)
        return r;
    watch->n_patterns++;
    const struct watch_route_params params = {
        .watch = watch,
        .pattern = *at,
        .positions = pattern_begin(*at),
        .wants_file = (*at)->plain,
        .told = watch->params.program != NULL, /* includes may come or not */
        .path = (*at)->prefix,
    };
    struct watch_route *route;
    r = watch_route_new(&params, &route);
    if (r == 0)
        list_append(&watch->routes, &route->link);
    return r;
}

static int add_routes(struct watch *watch, char *const *paths)
{
    watch->patterns = calloc(strv_length(paths) + 1, sizeof(*watch->patterns));
    if (!watch->patterns)
        return -ENOMEM;
    STRV_FOREACH (path, paths) {
        int r = add_route(watch, *path);
        if (r < 0)
            return r;
    }
    return 0;
}

int watch_new(const struct watch_params *params, struct watch **ret)
{
    CLEANUP(watch_freep) struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return -ENOMEM;
    watch->params = *params;
    list_init(&watch->routes);
    list_append(&params->watcher->watches, &watch->link);
    int r = strv_copy(params->ignore, &watch->ignore);
    if (r >= 0)
        r = sd_event_add_time(params->watcher->event, &watch->timer, CLOCK_MONOTONIC, 0,
                              USEC_PER_MSEC, on_rest, watch);
    if (r >= 0)
        r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
    if (r >= 0)
        r = add_routes(watch, params->paths);
    if (r < 0)
        return r;
    watch->params.paths = watch->params.ignore = NULL;
    (void)sd_event_source_set_description(watch->timer, "watch-rest");
    *ret = TAKE_PTR(watch);
    return 0;
}

struct watch *watch_free(struct watch *watch)
{
    if (!watch)
        return NULL;
    LIST_FOREACH_SAFE (route, &watch->routes, struct watch_route, link)
        (void)watch_route_free(route);
    for (size_t i = 0; i < watch->n_patterns; i++)
        (void)pattern_free(watch->patterns[i]);
    free(watch->patterns);
    (void)sd_event_source_disable_unref(watch->timer);
    (void)strv_free(watch->ignore);
    drop_all(watch);
    list_remove(&watch->link);
    free(watch);
    return NULL;
}
