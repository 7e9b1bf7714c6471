/*
 * A directory that is looked into. A scan looks at each name once; from then on events say which name to look at, and looking is
 * the same: what is there now against what was there when it was looked at last. A scan goes on where it was interrupted.
 */
#include "program/watch-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAMES_AT_ONCE 128

int watch_path_add(struct watch_path *path, const char *name)
{
    size_t n = strlen(name);
    if (path->length + n + 2 > sizeof(path->text))
        return -ENAMETOOLONG;
    if (path->length > 1 || (path->length == 1 && path->text[0] != '/'))
        path->text[path->length++] = '/';
    memcpy(path->text + path->length, name, n + 1);
    path->length += n;
    return 0;
}

static void path_cut(struct watch_path *path, size_t length)
{
    path->length = length;
    path->text[length] = '\0';
}

int watch_directory_path(const struct watch_directory *directory, struct watch_path *ret)
{
    int r = 0;
    if (directory->params.parent)
        r = watch_directory_path(directory->params.parent, ret);
    else
        *ret = (struct watch_path){.length = 0};
    return r < 0 ? r : watch_path_add(ret, directory->name);
}

/* Looking */

struct look {
    struct watch_directory *directory;
    struct watch_path *path; /* of the directory */
    bool scanning;
};

static void drop_below(const struct look *look, struct seen_entry *entry)
{
    unsigned n = watch_directory_free(TAKE_PTR(entry->directory));
    n += watch_route_free(TAKE_PTR(entry->route));
    if (n > 0)
        watch_count(look->directory->scan.watch, look->path->text, NULL);
}

static bool has_room(struct watch *watch, unsigned depth, const char *path)
{
    int error = depth > WATCH_DEPTH_MAX ? ELOOP : watch->n_entries >= WATCH_ENTRIES_MAX ? E2BIG : 0;
    if (error != 0)
        watch_tell_failure(watch, path, error);
    return error == 0;
}

/* `look->path` is that of the entry. */
static void enter(const struct look *look, const char *name, uint64_t positions,
                  struct seen_entry *entry)
{
    const struct watch_directory_params *above = &look->directory->params;
    const struct watch_directory_params params = {
        .watch = above->watch,
        .pattern = above->pattern,
        .positions = positions,
        .parent = look->directory,
        .depth = above->depth + 1,
        .quiet = look->scanning && above->quiet,
        .name = name,
    };
    if (!has_room(params.watch, params.depth, look->path->text))
        return;
    int r = watch_directory_new(&params, &entry->directory);
    if (r < 0)
        watch_tell_failure(params.watch, look->path->text, -r);
}

static void follow(const struct look *look, const struct pattern_step *step,
                   struct seen_entry *entry)
{
    const struct watch_directory_params *above = &look->directory->params;
    const struct watch_route_params params = {
        .watch = above->watch,
        .pattern = above->pattern,
        .positions = step->through,
        .wants_file = step->matches,
        .depth = above->depth + 1,
        .path = look->path->text,
    };
    if (!has_room(params.watch, params.depth, look->path->text))
        return;
    int r = watch_route_new(&params, &entry->route);
    if (r < 0)
        watch_tell_failure(params.watch, look->path->text, -r);
}

static void take_state(const struct look *look, struct seen_entry *entry, uint64_t state,
                       const struct stat *st)
{
    struct watch_directory *directory = look->directory;
    bool is_found = look->scanning && directory->params.quiet && entry->state == 0;
    /* Its directory may have come from elsewhere: then the file is older than its coming. */
    bool has_come = look->scanning && !directory->params.quiet && entry->state == 0;
    if (entry->state != state && (!is_found || watch_is_recent(directory->scan.watch, st)))
        watch_count(directory->scan.watch, look->path->text, state != 0 && !has_come ? st : NULL);
    entry->state = state;
    entry->round = directory->round;
}

static void forget(const struct look *look, struct seen_entry *entry)
{
    if (entry->state != 0)
        watch_count(look->directory->scan.watch, look->path->text, NULL);
    drop_below(look, entry);
    seen_remove(&look->directory->seen, entry);
}

/* `look->path` is that of the entry; `type` is 0 where there is none. */
static void compare(const struct look *look, const char *name, const struct pattern_step *step,
                    const struct stat *st, mode_t type)
{
    struct seen *seen = &look->directory->seen;
    struct seen_entry *entry = seen_find(seen, name);
    if (entry &&
        ((entry->directory && (type != S_IFDIR || !inotify_is_set(&entry->directory->mark))) ||
         (entry->route && type != S_IFLNK)))
        drop_below(look, entry);
    bool counts = step->matches && (type == S_IFREG || type == S_IFLNK);
    bool leads_on = (type == S_IFDIR && step->enter) || (type == S_IFLNK && step->through);
    if (!counts && !leads_on) {
        if (entry)
            forget(look, entry);
        return;
    }
    entry = seen_get(seen, name);
    if (!entry) {
        watch_tell_failure(look->directory->scan.watch, look->path->text, ENOMEM);
        return;
    }
    take_state(look, entry, counts ? seen_state(st) : 0, st);
    if (type == S_IFDIR && !entry->directory)
        enter(look, name, step->enter, entry);
    if (type == S_IFLNK && !entry->route)
        follow(look, step, entry);
}

/* `renewed`: a directory of that name is another one than before. */
static void look_at(const struct look *look, const char *name, bool renewed)
{
    struct watch_directory *directory = look->directory;
    if (pattern_match_name(directory->params.watch->ignore, name))
        return;
    struct pattern_step step = pattern_step(directory->params.pattern, directory->params.positions,
                                            name);
    size_t length = look->path->length;
    if ((!step.matches && step.enter == 0) || watch_path_add(look->path, name) < 0)
        return;
    struct seen_entry *known = renewed ? seen_find(&directory->seen, name) : NULL;
    if (known && known->directory)
        drop_below(look, known);
    struct stat st = {0};
    bool there = fstatat(AT_FDCWD, look->path->text, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) ==
                 0;
    compare(look, name, &step, &st, there ? st.st_mode & S_IFMT : 0);
    path_cut(look->path, length);
}

/* It is gone, or something else is in its place: then this frees it. */
static void look_from_above(struct watch_directory *directory)
{
    struct watch_directory *parent = directory->params.parent;
    struct watch_path path;
    if (!parent) {
        watch_task_queue(&directory->params.route->follow);
    } else if (watch_directory_path(parent, &path) == 0) {
        CLEANUP_FREE char *name = strdup(directory->name);
        if (name)
            look_at(&(struct look){.directory = parent, .path = &path}, name, false);
    }
}

static void on_event(struct inotify_mark *mark, uint32_t mask, const char *name)
{
    struct watch_directory *directory = LIST_ENTRY(mark, struct watch_directory, mark);
    struct watch_path path;
    if (mask & IN_IGNORED) {
        look_from_above(directory);
        return;
    }
    if (*name == '\0' || watch_directory_path(directory, &path) < 0)
        return;
    bool renewed = (mask & IN_ISDIR) && (mask & WATCH_NAMES);
    look_at(&(struct look){.directory = directory, .path = &path}, name, renewed);
}

/* Scans */

static int set_mark(struct watch_directory *directory, const struct watch_path *path)
{
    return inotify_set(watch_inotify(directory->scan.watch), path->text, WATCH_FILES,
                       &directory->mark);
}

/* A later scan marks it anew: the path may lead elsewhere by now, or the kernel have dropped the mark. */
static int begin_scan(struct watch_directory *directory, const struct watch_path *path)
{
    int r = directory->round == 0 ? 0 : set_mark(directory, path);
    if (r < 0)
        return r;
    int fd = open(path->text, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    directory->stream = fdopendir(fd);
    if (!directory->stream) {
        (void)close(fd);
        return -ENOMEM;
    }
    directory->round++;
    return 0;
}

static void end_scan(struct watch_directory *directory)
{
    if (directory->stream)
        (void)closedir(directory->stream);
    directory->stream = NULL;
}

/* What the scan has not met is gone. Another entry may move to the place of one that is removed. */
static void sweep(const struct look *look)
{
    struct watch_directory *directory = look->directory;
    for (size_t i = 0; i < directory->seen.size;) {
        struct seen_entry *entry = &directory->seen.entries[i];
        if (entry->name != 0 && entry->round != directory->round)
            forget(look, entry);
        else
            i++;
    }
    directory->params.quiet = false;
}

static bool scan_some(const struct look *look)
{
    for (unsigned i = 0; i < NAMES_AT_ONCE; i++) {
        const struct dirent *entry = readdir(look->directory->stream);
        if (!entry)
            return true;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            look_at(look, entry->d_name, false);
    }
    return false;
}

static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

static bool run_scan(struct watch_task *task)
{
    struct watch_directory *directory = LIST_ENTRY(task, struct watch_directory, scan);
    struct watch_path path;
    int r = watch_directory_path(directory, &path);
    if (r == 0 && !directory->stream)
        r = begin_scan(directory, &path);
    if (is_shortage(r)) {
        watch_tell_shortage(task->watch, path.text, -r);
        watch_task_put_off(task);
        return false;
    }
    if (r < 0) {
        watch_tell_failure(task->watch, directory->name, -r);
        return true;
    }
    task->watch->told_shortage = false;
    const struct look look = {.directory = directory, .path = &path, .scanning = true};
    if (!scan_some(&look))
        return false;
    end_scan(directory);
    sweep(&look);
    return true;
}

void watch_directory_queue_all(struct watch_directory *directory)
{
    end_scan(directory);
    watch_task_queue(&directory->scan);
    for (size_t i = 0; i < directory->seen.size; i++) {
        struct seen_entry *entry = &directory->seen.entries[i];
        if (entry->directory)
            watch_directory_queue_all(entry->directory);
        if (entry->route)
            watch_route_queue_all(entry->route);
    }
}

/* Its life */

int watch_directory_new(const struct watch_directory_params *params, struct watch_directory **ret)
{
    size_t size = strlen(params->name) + 1;
    struct watch_directory *directory = calloc(1, sizeof(*directory) + size);
    if (!directory)
        return -ENOMEM;
    directory->params = *params;
    memcpy(directory->name, params->name, size);
    directory->params.name = directory->name;
    directory->mark.happened = on_event;
    watch_task_init(&directory->scan, params->watch, run_scan);
    params->watch->n_entries++;
    struct watch_path path;
    int r = watch_directory_path(directory, &path);
    if (r == 0)
        r = set_mark(directory, &path);
    if (r < 0) {
        (void)watch_directory_free(directory);
        return r;
    }
    watch_task_queue(&directory->scan);
    *ret = directory;
    return 0;
}

unsigned watch_directory_free(struct watch_directory *directory)
{
    unsigned n = 0;
    if (!directory)
        return 0;
    for (size_t i = 0; i < directory->seen.size; i++) {
        struct seen_entry *entry = &directory->seen.entries[i];
        n += entry->state != 0;
        n += watch_directory_free(entry->directory);
        n += watch_route_free(entry->route);
    }
    seen_clear(&directory->seen);
    end_scan(directory);
    watch_task_cancel(&directory->scan);
    inotify_clear(&directory->mark);
    directory->params.watch->n_entries--;
    free(directory);
    return n;
}
