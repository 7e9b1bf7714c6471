/*
 * watch-internal.h - what the files of the watch have in common: a watch owns routes, a route the directory it leads to, and a
 * directory those below it and the routes of its links.
 */
#pragma once

#include "base/list.h"
#include "base/pattern.h"
#include "program/inotify.h"
#include "program/seen.h"
#include "program/watch.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

/* Something to be looked at when its turn comes. */
struct watch_task {
    struct watch *watch;
    struct list link;
    bool (*run)(struct watch_task *task); /* true: that was all; it must not free itself */
};

void watch_task_init(struct watch_task *task, struct watch *watch,
                     bool (*run)(struct watch_task *task));
void watch_task_queue(struct watch_task *task);
void watch_task_cancel(struct watch_task *task);
/* In its run(), which then returns false: it is run again in a second. */
void watch_task_put_off(struct watch_task *task);

/* Events that tell of names in a directory, and of files in it. */
#define WATCH_NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define WATCH_FILES (WATCH_NAMES | IN_CLOSE_WRITE | IN_ATTRIB | IN_EXCL_UNLINK)

/* What is remembered of the changes that are not told yet; of more than these, that they were. */
#define WATCH_CHANGES_KEPT 8

struct watch_change {
    char *path; /* NULL: something unknown */
    uint64_t happened_usec;
};

struct watch {
    struct watch_params params; /* without `paths` and `ignore` */
    char **ignore;
    struct pattern **patterns;
    struct list routes; /* one for each pattern */
    size_t n_patterns;
    struct list link; /* in the watcher */
    sd_event_source *timer;
    struct watch_change changes[WATCH_CHANGES_KEPT]; /* the first of them */
    unsigned n_changes, n_kept;
    uint64_t first_usec, last_usec; /* monotonic: when changes were noticed */
    uint64_t happened_usec;         /* and when the newest of them happened */
    unsigned n_entries;             /* directories and links below its paths */
    unsigned n_tasks;               /* that are queued */
    bool incomplete;
    bool told_space, told_depth, told_access, told_shortage;
};

struct watch_directory_params {
    struct watch *watch;
    const struct pattern *pattern;
    uint64_t positions;
    struct watch_directory *parent; /* NULL: a route leads here */
    struct watch_route *route;      /* where it has no parent */
    unsigned depth;
    bool quiet;       /* what is found at first is no change */
    const char *name; /* in the parent; else the real path */
};

struct watch_directory {
    struct watch_task scan;
    struct watch_directory_params params; /* `quiet` until the first scan is over */
    struct inotify_mark mark;
    DIR *stream; /* while it is scanned */
    struct seen seen;
    unsigned round; /* of scans */
    char name[];
};

/* A directory on the way, and the name in it that is next; NULL: it is only watched for being moved. */
struct watch_step {
    struct watch_route *route;
    struct inotify_mark mark;
    char *name;
};

struct watch_route_params {
    struct watch *watch;
    const struct pattern *pattern;
    uint64_t positions; /* in the directory it leads to; 0: that is not entered */
    bool wants_file;    /* is a file that it leads to meant? */
    bool told;          /* is it said where it leads nowhere? */
    unsigned depth;
    const char *path; /* absolute */
};

struct watch_route {
    struct watch_task follow;
    struct watch_route_params params; /* its path is our own */
    char *path;
    struct list link; /* of those of the watch itself */
    struct watch_step **steps;
    size_t n_steps;
    struct watch_directory *directory;
    uint64_t state; /* of what it leads to; 0: nothing */
    bool known;     /* it was followed once */
};

struct inotify *watch_inotify(const struct watch *watch);
/* A change of `path`, or something unknown (NULL). `st` is what is there now and tells when that changed; NULL: just now. */
void watch_count(struct watch *watch, const char *path, const struct stat *st);
/* Was it changed after `since`? */
bool watch_is_recent(const struct watch *watch, const struct stat *st);
/* A line about the watch. */
void watch_tell(const struct watch *watch, const char *text);
/* Says once what cannot be watched, and remembers that something cannot. */
void watch_tell_failure(struct watch *watch, const char *path, int error);
/* It lacks what there may be again soon: once. */
void watch_tell_shortage(struct watch *watch, const char *path, int error);

/* `path` is copied. Where it leads is looked at by the watcher. */
int watch_route_new(const struct watch_route_params *params, struct watch_route **ret);
/* Returns how many files it had led to. */
unsigned watch_route_free(struct watch_route *route);
void watch_route_queue_all(struct watch_route *route);

/* 0 or -errno; it is scanned by the watcher. */
int watch_directory_new(const struct watch_directory_params *params, struct watch_directory **ret);
/* Returns how many files were known below it. */
unsigned watch_directory_free(struct watch_directory *directory);
/* It and all below are looked at anew. */
void watch_directory_queue_all(struct watch_directory *directory);

/* A path that is put together: directory and name. -ENAMETOOLONG. */
struct watch_path {
    char text[PATH_MAX];
    size_t length;
};
int watch_path_add(struct watch_path *path, const char *name);
int watch_directory_path(const struct watch_directory *directory, struct watch_path *ret);
