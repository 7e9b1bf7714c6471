/*
 * A route follows a path as the kernel would, name by name and link by link, and watches the way. When anything happens to it,
 * all of it is followed anew.
 *
 * A link, and what the path leads to, is watched by the directory it is in. A directory on the way is only watched for
 * being moved: it cannot be removed before what is in it, and its own parent may be as busy as /tmp. Where the path leads nowhere, each
 * directory is watched for the name that is next: one that was removed may return, and the kernel does not tell of
 * the removal itself while somebody works in it.
 */
#include "program/watch-internal.h"

#include "base/strv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* the kernel's own */
#define STEPS_MAX 512

/* Where following a path has got to. */
struct walk {
    struct watch_route *route;
    struct watch_path at;   /* a real path; empty: the root */
    struct watch_path rest; /* what is left of the path */
    unsigned links;
    bool by_name; /* all of it: the path leads nowhere */
    struct watch_step **steps;
    size_t n_steps;
    struct stat st; /* of what `at` is, but for the root */
};

static void on_event(struct inotify_mark *mark, uint32_t mask, const char *name)
{
    const struct watch_step *step = LIST_ENTRY(mark, struct watch_step, mark);
    bool is_next = step->name ? strcmp(name, step->name) == 0 : (mask & IN_MOVE_SELF) != 0;
    if ((mask & IN_IGNORED) || is_next)
        watch_task_queue(&step->route->follow);
}

static void free_steps(struct watch_step **steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        inotify_clear(&steps[i]->mark);
        free(steps[i]->name);
        free(steps[i]);
    }
    free(steps);
}

static int new_step(struct walk *walk, const char *name)
{
    struct watch_step **more = reallocarray(walk->steps, walk->n_steps + 1, sizeof(*more));
    if (!more)
        return -ENOMEM;
    walk->steps = more;
    struct watch_step *step = calloc(1, sizeof(*step));
    char *copy = name ? strdup(name) : NULL;
    if (!step || (name && !copy)) {
        free(step);
        free(copy);
        return -ENOMEM;
    }
    step->route = walk->route;
    step->name = copy;
    step->mark.happened = on_event;
    more[walk->n_steps++] = step;
    return 0;
}

/*
 * Watches the directory where it is for a name, or for being moved (NULL). What cannot be watched may be followed all the
 * same. False: it is no directory any more.
 */
static bool add_step(struct walk *walk, uint32_t mask, const char *name)
{
    struct watch *watch = walk->route->params.watch;
    const char *path = walk->at.length > 0 ? walk->at.text : "/";
    int r = walk->n_steps < STEPS_MAX ? new_step(walk, name) : -ELOOP;
    if (r == 0)
        r = inotify_set(watch_inotify(watch), path, mask, &walk->steps[walk->n_steps - 1]->mark);
    if (r < 0)
        watch_tell_failure(watch, path, -r);
    return r != -ENOENT && r != -ENOTDIR;
}

/* Takes the next name off the rest: false where there is none. */
static bool take_name(struct walk *walk, char name[NAME_MAX + 1])
{
    char *rest = walk->rest.text;
    size_t slashes = strspn(rest, "/"), n = strcspn(rest + slashes, "/");
    if (n == 0 || n > NAME_MAX)
        return false;
    memcpy(name, rest + slashes, n);
    name[n] = '\0';
    walk->rest.length -= slashes + n;
    memmove(rest, rest + slashes + n, walk->rest.length + 1);
    return true;
}

static bool has_more(const struct walk *walk)
{
    return walk->rest.text[strspn(walk->rest.text, "/")] != '\0';
}

static void go_up(struct walk *walk)
{
    const char *slash = strrchr(walk->at.text, '/');
    walk->at.length = slash ? (size_t)(slash - walk->at.text) : 0;
    walk->at.text[walk->at.length] = '\0';
}

/* `at` is the link: its target comes before the rest, from the directory that it is in. */
static bool follow_link(struct walk *walk)
{
    struct watch_path target;
    ssize_t n = readlink(walk->at.text, target.text, sizeof(target.text) - 1);
    if (n <= 0 || ++walk->links > LINKS_MAX)
        return false;
    target.length = (size_t)n;
    target.text[n] = '\0';
    size_t length = target.length + 1 + walk->rest.length;
    if (length >= sizeof(target.text))
        return false;
    go_up(walk);
    if (target.text[0] == '/')
        walk->at = (struct watch_path){.length = 0};
    target.text[target.length] = '/';
    memcpy(target.text + target.length + 1, walk->rest.text, walk->rest.length + 1);
    target.length = length;
    walk->rest = target;
    return true;
}

static int append(struct walk *walk, const char *name)
{
    struct watch_path *at = &walk->at;
    size_t n = strlen(name);
    if (at->length + n + 2 > sizeof(at->text))
        return -ENAMETOOLONG;
    at->text[at->length] = '/';
    memcpy(at->text + at->length + 1, name, n + 1);
    at->length += n + 1;
    return 0;
}

static bool look(struct walk *walk)
{
    return fstatat(AT_FDCWD, walk->at.text, &walk->st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0;
}

/* Goes into a directory that is only on the way. False: it is none, and nothing was done. */
static bool is_way(struct walk *walk, const char *name)
{
    size_t length = walk->at.length;
    if (walk->by_name || !has_more(walk) || append(walk, name) < 0)
        return false;
    if (look(walk) && S_ISDIR(walk->st.st_mode) && add_step(walk, IN_MOVE_SELF, NULL))
        return true;
    walk->at.length = length;
    walk->at.text[length] = '\0';
    return false;
}

/* One name further. False: it leads nowhere. */
static bool walk_on(struct walk *walk, const char *name)
{
    if (strcmp(name, ".") == 0)
        return true;
    if (strcmp(name, "..") == 0) {
        go_up(walk);
        return walk->at.length == 0 || look(walk);
    }
    if (is_way(walk, name))
        return true;
    (void)add_step(walk, WATCH_NAMES, name);
    if (append(walk, name) < 0 || !look(walk))
        return false;
    if (S_ISLNK(walk->st.st_mode))
        return follow_link(walk);
    return S_ISDIR(walk->st.st_mode) || !has_more(walk);
}

/* A file's directory is watched for what happens to the file as well, and then it is looked at again. */
static bool watch_file(struct walk *walk, const char *name)
{
    struct watch_path file = walk->at;
    go_up(walk);
    (void)add_step(walk, WATCH_FILES, name);
    walk->at = file;
    return look(walk) && S_ISREG(walk->st.st_mode);
}

/* What the path leads to, as one number; 0: nothing. */
static uint64_t walk_all(struct walk *walk)
{
    char name[NAME_MAX + 1] = "";
    while (has_more(walk))
        if (!take_name(walk, name) || !walk_on(walk, name))
            return 0;
    if (walk->at.length == 0 && lstat("/", &walk->st) < 0)
        return 0;
    if (S_ISDIR(walk->st.st_mode)) {
        const struct stat identity = {
            .st_dev = walk->st.st_dev, .st_ino = walk->st.st_ino, .st_mode = S_IFDIR};
        return seen_state(&identity);
    }
    return walk->route->params.wants_file && watch_file(walk, name) ? seen_state(&walk->st) : 0;
}

/* What the directory holds is no change: that it is another one was, if it was. */
static void enter(struct walk *walk)
{
    struct watch_route *route = walk->route;
    const struct watch_directory_params params = {
        .watch = route->params.watch,
        .pattern = route->params.pattern,
        .positions = route->params.positions,
        .route = route,
        .depth = route->params.depth,
        .quiet = true,
        .name = walk->at.length > 0 ? walk->at.text : "/",
    };
    int r = watch_directory_new(&params, &route->directory);
    if (r < 0)
        watch_tell_failure(params.watch, params.name, -r);
}

static bool is_directory(const struct walk *walk, uint64_t state)
{
    return state != 0 && S_ISDIR(walk->st.st_mode);
}

/* True: it still leads to the path of the directory that is watched; even if that is another one, its files are compared. */
static bool is_there(const struct walk *walk, uint64_t state)
{
    const struct watch_route *route = walk->route;
    return route->directory && is_directory(walk, state) &&
           strcmp(route->directory->name, walk->at.length > 0 ? walk->at.text : "/") == 0;
}

static void tell_missing(const struct watch_route *route)
{
    if (!route->params.told)
        return;
    CLEANUP_FREE char *text = string_format("'%s' is not there, waiting for it", route->path);
    if (text)
        watch_tell(route->params.watch, text);
}

static void arrive(struct walk *walk, uint64_t state)
{
    struct watch_route *route = walk->route;
    struct watch *watch = route->params.watch;
    bool counts = route->params.wants_file || route->params.positions != 0;
    bool is_file = state != 0 && !is_directory(walk, state);
    bool recent = is_file && watch_is_recent(watch, &walk->st);
    if (counts && (route->known ? state != route->state : recent))
        watch_count(watch, route->path, is_file && route->state != 0 ? &walk->st : NULL);
    if (!route->known && state == 0)
        tell_missing(route);
    if (is_there(walk, state)) {
        watch_directory_queue_all(route->directory);
    } else {
        (void)watch_directory_free(TAKE_PTR(route->directory));
        if (is_directory(walk, state) && route->params.positions != 0)
            enter(walk);
    }
    route->state = state;
    route->known = true;
}

static uint64_t walk_from_root(struct walk *walk, struct watch_route *route, bool by_name)
{
    *walk = (struct walk){.route = route, .by_name = by_name};
    return watch_path_add(&walk->rest, route->path) < 0 ? 0 : walk_all(walk);
}

static bool run_follow(struct watch_task *task)
{
    struct watch_route *route = LIST_ENTRY(task, struct watch_route, follow);
    struct watch_step **old = route->steps;
    size_t n_old = route->n_steps;
    struct walk walk;
    uint64_t state = walk_from_root(&walk, route, false);
    if (state == 0) {
        free_steps(walk.steps, walk.n_steps);
        state = walk_from_root(&walk, route, true);
    }
    route->steps = walk.steps;
    route->n_steps = walk.n_steps;
    arrive(&walk, state);
    /* Only now: what both watch stays watched. */
    free_steps(old, n_old);
    return true;
}

void watch_route_queue_all(struct watch_route *route)
{
    watch_task_queue(&route->follow);
}

int watch_route_new(const struct watch_route_params *params, struct watch_route **ret)
{
    struct watch_route *route = calloc(1, sizeof(*route));
    if (!route)
        return -ENOMEM;
    list_init(&route->link);
    watch_task_init(&route->follow, params->watch, run_follow);
    params->watch->n_entries++;
    route->params = *params;
    route->path = strdup(params->path);
    route->params.path = route->path;
    if (!route->path) {
        (void)watch_route_free(route);
        return -ENOMEM;
    }
    watch_task_queue(&route->follow);
    *ret = route;
    return 0;
}

unsigned watch_route_free(struct watch_route *route)
{
    if (!route)
        return 0;
    unsigned n = watch_directory_free(route->directory);
    n += route->state != 0;
    free_steps(route->steps, route->n_steps);
    watch_task_cancel(&route->follow);
    list_remove(&route->link);
    route->params.watch->n_entries--;
    free(route->path);
    free(route);
    return n;
}
