/*
 * inotify.h - one inotify instance for all that is watched, with any number of marks on a directory.
 *
 * A user has few instances (128), and inotify_add_watch() gives one descriptor for a directory however often it is asked; so
 * marks on the same directory share it. sd-event's inotify sources do that, too, but take a turn of the loop for each
 * event: here a thousand changes are one wake-up.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"

#include <stdbool.h>
#include <sys/inotify.h>
#include <systemd/sd-event.h>

/* Of what can wait until nothing else is to be done. */
#define INOTIFY_WORK_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 1)

struct inotify;

/* Put into what watches; zeroed at first. */
struct inotify_mark {
    struct inotify_place *place; /* NULL: not set */
    struct list link;
    /*
     * `name` is "" for the directory itself. IN_IGNORED: the directory is gone, and with it the watch. May set and clear any mark,
     * itself included.
     */
    void (*happened)(struct inotify_mark *mark, uint32_t mask, const char *name);
};

/* `overflowed`: the kernel's queue was full, and nobody knows what happened. 0 or -errno (-EMFILE: no instance is left). */
int inotify_new(sd_event *event, void (*overflowed)(void *userdata), void *userdata,
                struct inotify **ret);
/* Every mark must be cleared. */
struct inotify *inotify_free(struct inotify *inotify);
DEFINE_FREEP(struct inotify *, inotify_free)

/*
 * Watches a directory for the events of `mask` (others may come, too, where other marks want them). A mark that is set is cleared first. 0, -ENOSPC
 * (fs.inotify.max_user_watches), -ENOENT, -ENOTDIR, -EACCES …
 */
int inotify_set(struct inotify *inotify, const char *path, uint32_t mask,
                struct inotify_mark *mark);
void inotify_clear(struct inotify_mark *mark);

/* Is it set, on a directory that is still there? */
bool inotify_is_set(const struct inotify_mark *mark);

/* What waits in the kernel's queue is told now, for a few milliseconds at most. Not from within happened(). */
void inotify_catch_up(struct inotify *inotify);

/* How many directories are watched. */
unsigned inotify_count(const struct inotify *inotify);
