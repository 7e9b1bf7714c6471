#include "master/watching.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/strv.h"
#include "master/master.h"
#include "master/watch-paths.h"
#include "program/watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The configuration is one file, which is written at once; unlike a program's release. */
#define CONFIG_DELAY_USEC USEC_PER_SEC

/* So many reloads in a row for one file that changes again within so long: who writes it? */
#define REPEATS_SUSPICIOUS  5
#define REPEATS_WITHIN_USEC (10 * USEC_PER_SEC)

/* What is watched for a program, or for the configuration. */
struct watched {
    struct watching *watching;
    struct list link;
    char *program; /* NULL: the configuration */
    char **paths, **ignore;
    uint64_t delay_usec;
    struct watch *watch;
    bool wanted;         /* by the update that is going on */
    uint64_t generation; /* of the program, that its changes are to replace */
    char *last_path;
    uint64_t last_usec;
    unsigned repeats;
};

struct watching {
    struct master *master;
    struct watcher *watcher; /* NULL until something is to be watched */
    struct list watched;
    uint64_t n_read; /* how often the configuration that is committed was read */
};

static struct log_subject subject_of(const struct watched *watched)
{
    return (struct log_subject){.program = watched->program};
}

/* A change */

static void look_for_loop(struct watched *watched, const char *path)
{
    uint64_t now = clock_monotonic_usec();
    bool again = path && string_equal(path, watched->last_path) &&
                 now - watched->last_usec < 2 * watched->delay_usec + REPEATS_WITHIN_USEC;
    watched->repeats = again ? watched->repeats + 1 : 0;
    watched->last_usec = now;
    free(watched->last_path);
    watched->last_path = path ? strdup(path) : NULL;
    if (path && watched->repeats == REPEATS_SUSPICIOUS)
        log_about(subject_of(watched), LOG_LEVEL_WARNING,
                  "watch: '%s' changes after every reload: if a worker writes it, name it in "
                  "watch_ignore",
                  path);
}

/* A program alone and with the configuration that is in force, or a whole reload where that has changed. */
static void ask(const struct watched *watched, const char *path)
{
    CLEANUP_FREE char *what = strdup(path ? path : "something");
    char *programs[] = {watched->program, NULL};
    const struct reload_wish wish = {.kind = watched->program ? RELOAD_CURRENT : RELOAD_READ,
                                     .programs = watched->program ? programs : NULL};
    const struct reload_cause cause = {.pid = getpid(), .uid = getuid(), .path = what};
    uint64_t id;
    if (what)
        string_make_utf8(what);
    int r = what ? master_reload(watched->watching->master, &wish, &cause, &id) : -ENOMEM;
    if (r < 0)
        log_about(subject_of(watched), LOG_LEVEL_ERROR, "cannot reload: %s", strerror(-r));
}

static void on_changed(struct watch *watch UNUSED, const char *path, unsigned n, void *userdata)
{
    struct watched *watched = userdata;
    char more[48] = "";
    if (n > 1 && path)
        (void)snprintf(more, sizeof(more), " and %u more change%s", n - 1, n == 2 ? "" : "s");
    log_about(subject_of(watched), LOG_LEVEL_INFO, "%s: %s%s%s%s",
              watched->program ? "watch" : "watch_config",
              path ? "" : "too much changed at once to know all of it", path ? path : "",
              path ? " changed" : "", more);
    look_for_loop(watched, path);
    ask(watched, path);
}

/* What is watched */

static struct watched *watched_free(struct watched *watched)
{
    if (!watched)
        return NULL;
    (void)watch_free(watched->watch);
    list_remove(&watched->link);
    (void)strv_free(watched->paths);
    (void)strv_free(watched->ignore);
    free(watched->last_path);
    free(watched->program);
    free(watched);
    return NULL;
}
DEFINE_FREEP(struct watched *, watched_free)

static int need_watcher(struct watching *watching)
{
    return watching->watcher ? 0 : watcher_new(watching->master->event, &watching->watcher);
}

static int watched_new(struct watching *watching, const struct watched *wanted, uint64_t began_usec,
                       struct watched **ret)
{
    CLEANUP(watched_freep) struct watched *watched = calloc(1, sizeof(*watched));
    int r = watched ? need_watcher(watching) : -ENOMEM;
    if (r < 0)
        return r;
    list_init(&watched->link);
    watched->watching = watching;
    watched->delay_usec = wanted->delay_usec;
    watched->generation = wanted->generation;
    watched->program = wanted->program ? strdup(wanted->program) : NULL;
    r = wanted->program && !watched->program ? -ENOMEM : strv_copy(wanted->paths, &watched->paths);
    if (r == 0)
        r = strv_copy(wanted->ignore, &watched->ignore);
    const struct watch_params params = {
        .watcher = watching->watcher,
        .program = watched->program,
        .paths = watched->paths,
        .ignore = watched->ignore,
        .delay_usec = watched->delay_usec,
        .since_usec = clock_realtime_usec() - (clock_monotonic_usec() - began_usec),
        .changed = on_changed,
        .userdata = watched,
    };
    if (r == 0)
        r = watch_new(&params, &watched->watch);
    if (r == 0)
        *ret = TAKE_PTR(watched);
    return r;
}

static struct watched *find(const struct watching *watching, const char *program)
{
    LIST_FOREACH (watched, &watching->watched, struct watched, link)
        if (string_equal(watched->program, program))
            return watched;
    return NULL;
}

static bool is_same(const struct watched *a, const struct watched *b)
{
    return strv_equal(a->paths, b->paths) && strv_equal(a->ignore, b->ignore) &&
           a->delay_usec == b->delay_usec;
}

static void tell_failure(const struct watched *wanted, int error)
{
    const char *hint = error == EMFILE ? " (see fs.inotify.max_user_instances)" : "";
    log_about(subject_of(wanted), LOG_LEVEL_ERROR, "%s: nothing is watched: %s%s",
              wanted->program ? "watch" : "watch_config", strerror(error), hint);
}

/* One that could not watch everything may now. What the new generation was made from covers what changed before it was. */
static void want(struct watching *watching, const struct watched *wanted, uint64_t began_usec)
{
    struct watched *watched = find(watching, wanted->program);
    if (watched && is_same(watched, wanted) && watch_is_complete(watched->watch)) {
        watched->wanted = true;
        if (watched->generation != wanted->generation)
            watch_forget(watched->watch, began_usec);
        watched->generation = wanted->generation;
        return;
    }
    (void)watched_free(watched);
    int r = watched_new(watching, wanted, began_usec, &watched);
    if (r < 0) {
        tell_failure(wanted, -r);
        return;
    }
    watched->wanted = true;
    list_append(&watching->watched, &watched->link);
}

static void want_program(struct watching *watching, struct generation *generation,
                         uint64_t began_usec)
{
    const struct config_program *program = generation->program;
    CLEANUP_STRV char **paths = NULL;
    CLEANUP_FREE char *error = NULL;
    struct watched wanted = {
        .program = program->name,
        .ignore = program->watch_ignore,
        .delay_usec = program->reload_delay_usec,
        .generation = generation->number,
    };
    int r = watch_paths_of_program(generation, &paths, &error);
    wanted.paths = paths;
    if (r < 0)
        log_about(subject_of(&wanted), LOG_LEVEL_ERROR, "watch: nothing is watched: %s",
                  error ? error : strerror(-r));
    else
        want(watching, &wanted, began_usec);
}

/* `n` counts what was read: it is the generation of the configuration. */
static void want_config(struct watching *watching, const struct config *config, uint64_t n,
                        uint64_t began_usec)
{
    CLEANUP_STRV char **paths = NULL, **ignore = NULL;
    int r = watch_paths_of_config(config, &paths);
    if (r == 0)
        r = config_default_watch_ignore(&ignore);
    const struct watched wanted = {
        .paths = paths, .ignore = ignore, .delay_usec = CONFIG_DELAY_USEC, .generation = n};
    if (r == 0)
        want(watching, &wanted, began_usec);
    else
        tell_failure(&wanted, -r);
}

void watching_update(struct watching *watching, uint64_t began_usec, bool read)
{
    const struct master *master = watching->master;
    const struct config *config = master->release.config;
    watching->n_read += read;
    LIST_FOREACH (watched, &watching->watched, struct watched, link)
        watched->wanted = false;
    for (size_t i = 0; i < master->n_programs; i++)
        if (!master->programs[i]->removed && program_config(master->programs[i])->watch)
            want_program(watching, master->programs[i]->committed, began_usec);
    if (config->watch_config && config->path)
        want_config(watching, config, watching->n_read, began_usec);
    LIST_FOREACH_SAFE (watched, &watching->watched, struct watched, link)
        if (!watched->wanted)
            (void)watched_free(watched);
}

void watching_catch_up(const struct watching *watching)
{
    if (watching->watcher)
        watcher_catch_up(watching->watcher);
}

void watching_stop(struct watching *watching)
{
    LIST_FOREACH_SAFE (watched, &watching->watched, struct watched, link)
        (void)watched_free(watched);
    watching->watcher = watcher_free(watching->watcher);
}

int watching_new(struct master *master, struct watching **ret)
{
    struct watching *watching = calloc(1, sizeof(*watching));
    if (!watching)
        return -ENOMEM;
    watching->master = master;
    list_init(&watching->watched);
    *ret = watching;
    return 0;
}

struct watching *watching_free(struct watching *watching)
{
    if (!watching)
        return NULL;
    watching_stop(watching);
    free(watching);
    return NULL;
}
