/*
 * watch.h - tells when files changed, a while after the last change.
 *
 * A watch has paths, with wildcards (base/pattern.h). Each is followed from "/" on, through symbolic links, and the way is watched as
 * well: so a link that is swapped, or a directory that vanishes and returns, is seen, and what is not there yet is waited for. In a directory that is meant, everything below is watched, but for names that are ignored. A link to a file
 * counts as that file; one to a directory counts by itself and is not entered, unless a part of the pattern names it.
 *
 * A change is a regular file or link that came, went, or has another inode, size, time of modification, mode or owner than before. So a
 * file that is only opened, or that was there just for a moment, is none; touch(1) is one. Sockets, FIFOs and directories by themselves are none.
 *
 * All watches of a process share one watcher: one inotify instance, and one queue of work that is done in slices of 2 ms, so that a large
 * tree keeps nobody waiting. Where the kernel's queue overflows, all of them report a change and look at everything anew.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

struct watcher;
struct watch;

/* 0 or -errno; -EMFILE: no inotify instance is left (fs.inotify.max_user_instances). */
int watcher_new(sd_event *event, struct watcher **ret);
/* After its watches. */
struct watcher *watcher_free(struct watcher *watcher);
DEFINE_FREEP(struct watcher *, watcher_free)

/*
 * Notices what changed up to now, instead of a moment later, as far as that takes a few milliseconds: for who is about to deal with it, and
 * calls watch_forget() then. Not from within changed().
 */
void watcher_catch_up(struct watcher *watcher);

/* A change that goes on is reported after this many times the delay all the same. */
#define WATCH_DELAYS_MAX 12
/* Directories and links below the paths of one watch. */
#define WATCH_ENTRIES_MAX 200000
#define WATCH_DEPTH_MAX   64

struct watch_params {
    struct watcher *watcher;
    const char *program; /* for log lines; borrowed for the watch's life; NULL: none */
    char *const *paths;  /* absolute, valid for pattern_new() */
    char *const *ignore; /* names, valid by pattern_check_name(); NULL: none */
    uint64_t delay_usec; /* after the last change */
    /*
     * What changed since then (realtime), as the files' times tell, counts although the watch was not there yet; 0: nothing.
     */
    uint64_t since_usec;
    /*
     * `n` things changed, `path` first (NULL: too many at once to know). It must not free the watch.
     */
    void (*changed)(struct watch *watch, const char *path, unsigned n, void *userdata);
    void *userdata;
};

/* 0 or -errno. The paths are looked at by the event loop. */
int watch_new(const struct watch_params *params, struct watch **ret);
struct watch *watch_free(struct watch *watch);
DEFINE_FREEP(struct watch *, watch_free)

/* Forgets changes that came up to then (monotonic), and no others: somebody has dealt with them. */
void watch_forget(struct watch *watch, uint64_t until_usec);

/* Has everything been looked at that was to be? */
bool watch_is_settled(const struct watch *watch);
/* False: a part of it could not be watched, which was logged; a new watch may have more luck. */
bool watch_is_complete(const struct watch *watch);
