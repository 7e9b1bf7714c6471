/* The watch over a real inotify instance, in a directory of its own. Nothing sleeps: a change that must not count is followed by one that does. */
#include "live.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/strv.h"
#include "program/seen.h"
#include "program/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DELAY_USEC (50 * USEC_PER_MSEC)

struct kit {
    sd_event *event;
    struct watcher *watcher;
    struct watch *watch;
    char *directory;
    uint64_t delay_usec;
    unsigned reports, changes;
    bool unknown; /* a report had no path */
    char *path;
};

static void on_changed(struct watch *watch UNUSED, const char *path, unsigned n, void *userdata)
{
    struct kit *kit = userdata;
    kit->reports++;
    kit->changes += n;
    kit->unknown = kit->unknown || !path;
    free(kit->path);
    kit->path = path ? strdup(path) : NULL;
}

static int set_up(void **state)
{
    struct kit *kit = calloc(1, sizeof(*kit));
    assert_int_equal(sd_event_new(&kit->event), 0);
    assert_int_equal(watcher_new(kit->event, &kit->watcher), 0);
    kit->directory = live_make_directory();
    kit->delay_usec = DELAY_USEC;
    *state = kit;
    return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *at UNUSED)
{
    return remove(path);
}

static void remove_tree(const char *path)
{
    assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static int tear_down(void **state)
{
    struct kit *kit = *state;
    (void)watch_free(kit->watch);
    (void)watcher_free(kit->watcher);
    (void)sd_event_unref(kit->event);
    remove_tree(kit->directory);
    free(kit->directory);
    free(kit->path);
    free(kit);
    return 0;
}

/* Acting in the directory */

static char *in(const struct kit *kit, const char *name)
{
    char *path = string_format("%s/%s", kit->directory, name);
    assert_non_null(path);
    return path;
}

static void write_file(const struct kit *kit, const char *name, const char *text)
{
    live_write_file(kit->directory, name, text);
}

static void make_directory(const struct kit *kit, const char *name)
{
    CLEANUP_FREE char *path = in(kit, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const struct kit *kit, const char *target, const char *name)
{
    CLEANUP_FREE char *path = in(kit, name);
    assert_int_equal(symlink(target, path), 0);
}

static void move(const struct kit *kit, const char *from, const char *to)
{
    CLEANUP_FREE char *old = in(kit, from), *new = in(kit, to);
    assert_int_equal(rename(old, new), 0);
}

static void discard(const struct kit *kit, const char *name)
{
    CLEANUP_FREE char *path = in(kit, name);
    remove_tree(path);
}

/* Watching */

static void watch_since(struct kit *kit, const char *const *names, const char *const *ignore,
                        uint64_t since_usec)
{
    CLEANUP_STRV char **paths = NULL;
    for (; *names; names++)
        assert_int_equal(strv_appendf(&paths, "%s/%s", kit->directory, *names), 0);
    const struct watch_params params = {
        .watcher = kit->watcher,
        .program = "web",
        .paths = paths,
        .ignore = (char *const *)ignore,
        .delay_usec = kit->delay_usec,
        .since_usec = since_usec,
        .changed = on_changed,
        .userdata = kit,
    };
    assert_int_equal(watch_new(&params, &kit->watch), 0);
    RUN_UNTIL(kit->event, watch_is_settled(kit->watch));
}

#define NAMES(...)            ((const char *const[]){__VA_ARGS__, NULL})
#define watch_names(kit, ...) watch_since(kit, NAMES(__VA_ARGS__), NULL, 0)

/* Exactly one more report comes, of exactly `n` changes; 0: however many. */
static void expect(struct kit *kit, const char *name, unsigned n)
{
    unsigned before = kit->reports;
    kit->changes = 0;
    RUN_UNTIL(kit->event, kit->reports > before);
    assert_int_equal(kit->reports, before + 1);
    CLEANUP_FREE char *path = in(kit, name);
    assert_false(kit->unknown);
    assert_string_equal(kit->path, path);
    if (n > 0)
        assert_int_equal(kit->changes, n);
}

static void test_written(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    write_file(kit, "lib/a", "1");
    watch_names(kit, "lib");
    write_file(kit, "lib/a", "22");
    expect(kit, "lib/a", 1);
    write_file(kit, "lib/b", "1");
    expect(kit, "lib/b", 1);
    discard(kit, "lib/b");
    expect(kit, "lib/b", 1);
    write_file(kit, "lib/.a.new", "333");
    move(kit, "lib/.a.new", "lib/a");
    expect(kit, "lib/a", 1);
    CLEANUP_FREE char *path = in(kit, "lib/a");
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    expect(kit, "lib/a", 1);
    assert_int_equal(chmod(path, 0700), 0);
    expect(kit, "lib/a", 1);
}

/* Each of these is followed by what counts, and that comes alone. */
static void test_no_changes(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    make_directory(kit, "lib/node_modules");
    write_file(kit, "lib/a", "1");
    write_file(kit, "lib/z", "1");
    watch_since(kit, NAMES("lib"), NAMES("*.tmp", "node_modules"), 0);
    CLEANUP_FREE char *path = in(kit, "lib/a"), *link_path = in(kit, "b"), *fifo = in(kit, "lib/f");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(link(path, link_path), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    make_directory(kit, "lib/empty");
    write_file(kit, "lib/gone", "1");
    discard(kit, "lib/gone");
    write_file(kit, "lib/x.tmp", "1");
    write_file(kit, "lib/node_modules/x", "1");
    write_file(kit, "other", "1");
    write_file(kit, "lib/z", "22");
    expect(kit, "lib/z", 1);
}

static void test_deep(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    make_directory(kit, "lib/a");
    watch_names(kit, "lib");
    make_directory(kit, "lib/a/b");
    make_directory(kit, "lib/a/b/c");
    write_file(kit, "lib/a/b/c/x", "1");
    expect(kit, "lib/a/b/c/x", 1);
    write_file(kit, "lib/a/b/c/y", "1");
    expect(kit, "lib/a/b/c/y", 1);
    move(kit, "lib/a/b", "lib/b");
    expect(kit, "lib/a/b", 0);
    write_file(kit, "lib/b/c/y", "22");
    expect(kit, "lib/b/c/y", 1);
}

/* Another directory is there before we hear that the first one has gone. */
static void test_replaced(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    make_directory(kit, "lib/a");
    make_directory(kit, "b");
    make_directory(kit, "new");
    make_directory(kit, "new/a");
    watch_names(kit, "lib");
    move(kit, "lib/a", "old");
    move(kit, "b", "lib/a");
    write_file(kit, "lib/x", "1");
    expect(kit, "lib/x", 1);
    write_file(kit, "lib/a/x", "1");
    expect(kit, "lib/a/x", 1);
    move(kit, "lib", "gone");
    move(kit, "new", "lib");
    expect(kit, "lib", 0);
    write_file(kit, "lib/a/x", "1");
    expect(kit, "lib/a/x", 1);
}

static void test_vanishes_and_returns(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "app");
    make_directory(kit, "app/lib");
    write_file(kit, "app/lib/x", "1");
    watch_names(kit, "app/lib", "app/later/file");
    /* As workers do: the kernel does not tell whoever watches these that they were removed. */
    CLEANUP_FREE char *app = in(kit, "app"), *library = in(kit, "app/lib");
    CLEANUP_FD int app_fd = open(app, O_PATH | O_CLOEXEC);
    CLEANUP_FD int library_fd = open(library, O_PATH | O_CLOEXEC);
    assert_true(app_fd >= 0 && library_fd >= 0);
    discard(kit, "app");
    expect(kit, "app/lib/x", 0);
    make_directory(kit, "app");
    make_directory(kit, "app/lib");
    expect(kit, "app/lib", 0);
    write_file(kit, "app/lib/x", "1");
    expect(kit, "app/lib/x", 1);
    make_directory(kit, "app/later");
    write_file(kit, "app/later/file", "1");
    expect(kit, "app/later/file", 1);
    write_file(kit, "app/later/file", "22");
    expect(kit, "app/later/file", 1);
}

/* Directories on the way that are moved, with all that is in them. */
static void test_moved_away(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "a");
    make_directory(kit, "a/b");
    make_directory(kit, "a/b/lib");
    write_file(kit, "a/b/lib/x", "1");
    watch_names(kit, "a/b/lib", "a/b/lib/*.js");
    move(kit, "a", "c");
    expect(kit, "a/b/lib", 0);
    move(kit, "c", "a");
    expect(kit, "a/b/lib", 0);
    move(kit, "a/b", "a/c");
    expect(kit, "a/b/lib", 0);
    write_file(kit, "a/c/lib/x", "22");
    make_link(kit, "c", "a/b");
    expect(kit, "a/b/lib", 0);
    write_file(kit, "a/c/lib/x", "1");
    expect(kit, "a/c/lib/x", 1);
}

static void test_single_file(void **state)
{
    struct kit *kit = *state;
    write_file(kit, "a", "1");
    watch_names(kit, "a");
    write_file(kit, "b", "1");
    write_file(kit, "a", "22");
    expect(kit, "a", 1);
    write_file(kit, "a.new", "333");
    move(kit, "a.new", "a");
    expect(kit, "a", 1);
    discard(kit, "a");
    expect(kit, "a", 1);
    write_file(kit, "a", "1");
    expect(kit, "a", 1);
}

static void test_swapped_link(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "1");
    make_directory(kit, "1/lib");
    write_file(kit, "1/lib/x", "1");
    make_directory(kit, "2");
    make_directory(kit, "2/lib");
    write_file(kit, "2/lib/x", "1");
    make_link(kit, "1", "current");
    watch_names(kit, "current/lib", "current/lib/x");
    make_link(kit, "2", "next");
    move(kit, "next", "current");
    expect(kit, "current/lib", 0);
    write_file(kit, "1/lib/x", "old");
    write_file(kit, "2/lib/y", "new");
    expect(kit, "2/lib/y", 1);
}

/* As the kubelet does it: key -> ..data/key, ..data -> ..1 */
static void test_config_map(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "..1");
    write_file(kit, "..1/key", "1");
    make_link(kit, "..1", "..data");
    make_link(kit, "..data/key", "key");
    watch_names(kit, "key");
    make_directory(kit, "..2");
    write_file(kit, "..2/key", "2");
    make_link(kit, "..2", "..data_tmp");
    move(kit, "..data_tmp", "..data");
    discard(kit, "..1");
    expect(kit, "key", 0);
    write_file(kit, "..2/key", "333");
    expect(kit, "key", 1);
}

static void test_links_in_a_tree(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "on");
    make_directory(kit, "available");
    make_directory(kit, "other");
    write_file(kit, "available/x", "1");
    make_link(kit, "../available/x", "on/x");
    make_link(kit, "../other", "on/other");
    make_link(kit, ".", "on/loop");
    make_link(kit, "nowhere", "on/dangling");
    watch_names(kit, "on");
    write_file(kit, "other/ignored", "1");
    write_file(kit, "available/x", "22");
    expect(kit, "on/x", 1);
    write_file(kit, "on/nowhere", "1");
    expect(kit, "on/nowhere", 2);
    discard(kit, "on/x");
    expect(kit, "on/x", 0);
    write_file(kit, "available/x", "333");
    write_file(kit, "on/y", "1");
    expect(kit, "on/y", 1);
}

static void test_globs(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "src");
    make_directory(kit, "src/a");
    make_directory(kit, "real");
    make_link(kit, "../real", "src/b");
    watch_names(kit, "src/**/*.js", "src/*/conf", "none/*");
    write_file(kit, "src/a/x.css", "1");
    write_file(kit, "real/x.js", "1");
    write_file(kit, "src/a/x.js", "1");
    expect(kit, "src/a/x.js", 1);
    write_file(kit, "real/conf", "1");
    expect(kit, "real/conf", 1);
    make_directory(kit, "src/c");
    write_file(kit, "src/c/conf", "1");
    expect(kit, "src/c/conf", 1);
    make_directory(kit, "none");
    expect(kit, "none", 1);
    write_file(kit, "none/x", "1");
    expect(kit, "none/x", 1);
}

/* A storm is one report; the names are all seen. */
static void test_storm(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    watch_names(kit, "lib");
    for (unsigned i = 0; i < 50; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "lib/%u", i);
        make_directory(kit, name);
        for (unsigned j = 0; j < 20; j++) {
            (void)snprintf(name, sizeof(name), "lib/%u/%u", i, j);
            write_file(kit, name, "1");
        }
    }
    write_file(kit, "lib/last", "1");
    unsigned before = kit->reports;
    RUN_UNTIL(kit->event, kit->reports > before);
    assert_int_equal(kit->changes, 1001);
}

static int on_time(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    *(bool *)userdata = true;
    return 0;
}

/* A large tree is looked at when nothing else is to be done. */
static void test_nobody_waits(void **state)
{
    struct kit *kit = *state;
    bool fired = false;
    char name[64];
    make_directory(kit, "lib");
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof(name), "lib/%u", i);
        make_directory(kit, name);
    }
    CLEANUP_FREE char *path = in(kit, "lib");
    const struct watch_params params = {.watcher = kit->watcher,
                                        .paths = (char *[]){path, NULL},
                                        .changed = on_changed,
                                        .userdata = kit};
    assert_int_equal(watch_new(&params, &kit->watch), 0);
    sd_event_source *source = NULL;
    assert_true(sd_event_add_time(kit->event, &source, CLOCK_MONOTONIC, clock_monotonic_usec(), 0,
                                  on_time, &fired) >= 0);
    RUN_UNTIL(kit->event, fired);
    assert_false(watch_is_settled(kit->watch));
    RUN_UNTIL(kit->event, watch_is_settled(kit->watch));
    (void)sd_event_source_disable_unref(source);
}

/* Changes that go on are told at last. */
static void test_endless(void **state)
{
    struct kit *kit = *state;
    write_file(kit, "a", "1");
    kit->delay_usec = 4 * DELAY_USEC; /* longer than the watcher rests */
    watch_names(kit, "a");
    uint64_t began = clock_monotonic_usec();
    for (unsigned i = 0; kit->reports == 0; i++) {
        write_file(kit, "a", i % 2 ? "1" : "22");
        assert_true(sd_event_run(kit->event, DELAY_USEC / 4) >= 0);
        assert_true(clock_monotonic_usec() - began < LIVE_PATIENCE_USEC);
    }
}

static unsigned queue_length(void)
{
    unsigned n = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u", &n), 1);
    assert_int_equal(fclose(file), 0);
    return n;
}

static void test_overflow(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    make_directory(kit, "lib/lost");
    watch_names(kit, "lib");
    CLEANUP_FREE char *a = in(kit, "lib/a"), *b = in(kit, "lib/b");
    write_file(kit, "lib/a", "1");
    for (unsigned i = 0; i < queue_length() / 2 + 1; i++)
        assert_int_equal(rename(i % 2 ? b : a, i % 2 ? a : b), 0);
    /* Nobody is told of these. */
    discard(kit, "lib/lost");
    make_directory(kit, "lib/lost");
    write_file(kit, "lib/lost/x", "1");
    RUN_UNTIL(kit->event, kit->reports > 0 && watch_is_settled(kit->watch));
    /* What was lost may be told in more than one report; these name no path, and tell of what comes before them as well. */
    kit->path = (free(kit->path), NULL);
    for (unsigned i = 0; i < 10 && !kit->path; i++) {
        unsigned reports = kit->reports;
        write_file(kit, "lib/lost/x", i % 2 ? "1" : "22");
        RUN_UNTIL(kit->event, kit->reports > reports);
    }
    assert_non_null(kit->path);
    CLEANUP_FREE char *path = in(kit, "lib/lost/x");
    assert_string_equal(kit->path, path);
}

static void test_overflow_alone_counts(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    write_file(kit, "lib/lost", "1");
    watch_since(kit, NAMES("lib"), NAMES("ignored*"), 0);
    CLEANUP_FREE char *a = in(kit, "lib/ignored-a"), *b = in(kit, "lib/ignored-b");
    write_file(kit, "lib/ignored-a", "1");
    for (unsigned i = 0; i < queue_length() / 2 + 1; i++)
        assert_int_equal(rename(i % 2 ? b : a, i % 2 ? a : b), 0);
    discard(kit, "lib/lost");
    RUN_UNTIL(kit->event, kit->reports > 0);
    assert_true(kit->unknown);
    assert_int_equal(kit->changes, 2);
}

static void test_since(void **state)
{
    struct kit *kit = *state;
    struct stat st;
    make_directory(kit, "lib");
    write_file(kit, "lib/old", "1");
    CLEANUP_FREE char *path = in(kit, "lib/old");
    assert_int_equal(stat(path, &st), 0);
    uint64_t since = (uint64_t)st.st_ctim.tv_sec * USEC_PER_SEC +
                     (uint64_t)st.st_ctim.tv_nsec / NSEC_PER_USEC;
    /* The next tick of the kernel's clock. */
    do {
        write_file(kit, "lib/new", "1");
        CLEANUP_FREE char *other = in(kit, "lib/new");
        assert_int_equal(stat(other, &st), 0);
    } while ((uint64_t)st.st_ctim.tv_sec * USEC_PER_SEC +
                 (uint64_t)st.st_ctim.tv_nsec / NSEC_PER_USEC <=
             since);
    watch_since(kit, NAMES("lib"), NULL, since);
    expect(kit, "lib/new", 1);
}

static void test_forget(void **state)
{
    struct kit *kit = *state;
    write_file(kit, "a", "1");
    write_file(kit, "b", "1");
    watch_names(kit, "a", "b");
    write_file(kit, "a", "22");
    /* Once it is known and before it is told. */
    live_run_ready(kit->event);
    watch_forget(kit->watch, clock_monotonic_usec());
    write_file(kit, "b", "22");
    expect(kit, "b", 1);
}

/* The watcher rests after the first of them: the others are noticed when somebody is about to deal with them. */
static void test_catching_up(void **state)
{
    struct kit *kit = *state;
    write_file(kit, "a", "1");
    write_file(kit, "b", "1");
    write_file(kit, "c", "1");
    watch_names(kit, "a", "b", "c");
    write_file(kit, "a", "22");
    live_run_ready(kit->event);
    write_file(kit, "b", "22");
    discard(kit, "c");
    watcher_catch_up(kit->watcher);
    uint64_t until = clock_monotonic_usec();
    watch_forget(kit->watch, until);
    write_file(kit, "a", "333");
    expect(kit, "a", 1);
}

/* Of what was noticed, only what happened before; it is the first of the others that is named. */
static void test_forgets_no_others(void **state)
{
    struct kit *kit = *state;
    write_file(kit, "a", "1");
    write_file(kit, "b", "1");
    watch_names(kit, "a", "b");
    write_file(kit, "a", "22");
    watcher_catch_up(kit->watcher);
    uint64_t until = clock_monotonic_usec();
    discard(kit, "b");
    watcher_catch_up(kit->watcher);
    watch_forget(kit->watch, until);
    expect(kit, "b", 1);
}

/* A directory that is moved to where it is watched brings files that are older than their coming. */
static void test_forgets_nothing_that_came_later(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    make_directory(kit, "prepared");
    write_file(kit, "prepared/new", "1");
    watch_names(kit, "lib");
    uint64_t until = clock_monotonic_usec();
    move(kit, "prepared", "lib/new");
    watcher_catch_up(kit->watcher);
    watch_forget(kit->watch, until);
    expect(kit, "lib/new/new", 1);
}

static void test_many_watches_share(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    watch_names(kit, "lib");
    struct watch *first = TAKE_PTR(kit->watch);
    watch_names(kit, "lib");
    write_file(kit, "lib/a", "1");
    RUN_UNTIL(kit->event, kit->reports == 2);
    (void)watch_free(first);
    write_file(kit, "lib/a", "22");
    RUN_UNTIL(kit->event, kit->reports == 3);
}

static bool limit_watches(unsigned n)
{
    if (unshare(CLONE_NEWUSER) < 0)
        return false;
    FILE *file = fopen("/proc/sys/user/max_inotify_watches", "we");
    if (!file)
        return false;
    bool good = fprintf(file, "%u", n) > 0;
    return fclose(file) == 0 && good;
}

/* The last one: this process has few watches from here on. */
static void test_no_more_watches(void **state)
{
    struct kit *kit = *state;
    make_directory(kit, "lib");
    for (unsigned i = 0; i < 20; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "lib/%u", i);
        make_directory(kit, name);
    }
    (void)watcher_free(kit->watcher);
    kit->watcher = NULL;
    if (!limit_watches(10)) {
        assert_int_equal(watcher_new(kit->event, &kit->watcher), 0);
        print_message("no user namespace of our own: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(watcher_new(kit->event, &kit->watcher), 0);
    watch_names(kit, "lib");
    assert_false(watch_is_complete(kit->watch));
    /* What is watched still is. */
    write_file(kit, "lib/x", "1");
    expect(kit, "lib/x", 1);
}

static void test_seen(void **state UNUSED)
{
    struct seen seen = {0};
    char name[32];
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        struct seen_entry *entry = seen_get(&seen, name);
        assert_int_equal(entry->state, 0);
        entry->state = i + 1;
    }
    for (unsigned i = 0; i < 5000; i += 3) {
        (void)snprintf(name, sizeof(name), "%u", i);
        seen_remove(&seen, seen_find(&seen, name));
    }
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        const struct seen_entry *entry = seen_find(&seen, name);
        if (i % 3 == 0)
            assert_null(entry);
        else
            assert_int_equal(entry->state, i + 1);
    }
    seen_clear(&seen);
}

#define WATCH_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen),
        WATCH_TEST(test_written),
        WATCH_TEST(test_no_changes),
        WATCH_TEST(test_deep),
        WATCH_TEST(test_replaced),
        WATCH_TEST(test_vanishes_and_returns),
        WATCH_TEST(test_moved_away),
        WATCH_TEST(test_single_file),
        WATCH_TEST(test_swapped_link),
        WATCH_TEST(test_config_map),
        WATCH_TEST(test_links_in_a_tree),
        WATCH_TEST(test_globs),
        WATCH_TEST(test_storm),
        WATCH_TEST(test_nobody_waits),
        WATCH_TEST(test_endless),
        WATCH_TEST(test_overflow),
        WATCH_TEST(test_overflow_alone_counts),
        WATCH_TEST(test_since),
        WATCH_TEST(test_forget),
        WATCH_TEST(test_catching_up),
        WATCH_TEST(test_forgets_no_others),
        WATCH_TEST(test_forgets_nothing_that_came_later),
        WATCH_TEST(test_many_watches_share),
        WATCH_TEST(test_no_more_watches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
