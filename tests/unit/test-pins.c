/* What a generation holds on to stays what it was, and what cannot be held is noticed. */
#include "worker/pins.h"

#include "base/strv.h"
#include "live.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char *base, *one, *two, *current;
    struct pins *pins;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->base = live_make_directory();
    fixture->one = string_format("%s/one", fixture->base);
    fixture->two = string_format("%s/two", fixture->base);
    fixture->current = string_format("%s/current", fixture->base);
    assert_int_equal(mkdir(fixture->one, 0700), 0);
    assert_int_equal(mkdir(fixture->two, 0700), 0);
    assert_int_equal(symlink("one", fixture->current), 0);
    fixture->pins = pins_new();
    assert_int_equal(pins_hold(fixture->pins, fixture->current), 0);
    *state = fixture;
    return 0;
}

static void remove_if_there(const char *directory)
{
    if (access(directory, F_OK) == 0)
        live_remove_directory(strdup(directory));
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)pins_unref(fixture->pins);
    remove_if_there(fixture->one);
    remove_if_there(fixture->two);
    live_remove_directory(fixture->base);
    free(fixture->one);
    free(fixture->two);
    free(fixture->current);
    free(fixture);
    return 0;
}

static void swap_link(struct fixture *fixture)
{
    assert_int_equal(unlink(fixture->current), 0);
    assert_int_equal(symlink("two", fixture->current), 0);
}

static void expect_place(struct fixture *fixture, const char *directory, bool mixed)
{
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    struct stat by_fd, by_path;
    assert_int_equal(pins_enter(fixture->pins, fixture->current, &place), 0);
    assert_string_equal(place.directory, directory);
    assert_int_equal(place.mixed, mixed);
    assert_int_equal(place.remark != NULL, mixed);
    assert_int_equal(fstat(place.fd, &by_fd), 0);
    assert_int_equal(stat(directory, &by_path), 0);
    assert_int_equal(by_fd.st_ino, by_path.st_ino);
}

static void test_link_is_followed_once(void **state)
{
    struct fixture *fixture = *state;
    expect_place(fixture, fixture->one, false);
    swap_link(fixture);
    expect_place(fixture, fixture->one, false);
}

static void test_renamed(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *moved = string_format("%s/moved", fixture->base);
    assert_int_equal(rename(fixture->one, moved), 0);
    expect_place(fixture, moved, false);
    assert_int_equal(rename(moved, fixture->one), 0);
}

static void test_removed(void **state)
{
    struct fixture *fixture = *state;
    swap_link(fixture);
    assert_int_equal(rmdir(fixture->one), 0);
    expect_place(fixture, fixture->two, true);
    /* From now on this one is held, and everybody in it is mixed. */
    assert_int_equal(mkdir(fixture->one, 0700), 0);
    expect_place(fixture, fixture->two, true);
}

/* 0, or what the shell says. */
static int PRINTF_LIKE(1, 2) run(const char *format, ...)
{
    CLEANUP_FREE char *command = NULL;
    va_list arguments;
    va_start(arguments, format);
    assert_true(vasprintf(&command, format, arguments) > 0);
    va_end(arguments);
    return system(command);
}

/* As in a container: a directory that comes from the image and was written to since is one of two that are merged. */
static void test_removed_from_overlay(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *app = string_format("%s/merged/app", fixture->base);
    assert_int_equal(run("cd %s && mkdir -p lower/app upper work merged", fixture->base), 0);
    if (unshare(CLONE_NEWNS) < 0 ||
        run("cd %s && mount --make-rprivate / && mount -t overlay overlay -o "
            "lowerdir=lower,upperdir=upper,workdir=work merged",
            fixture->base) != 0) {
        print_message("skipped: no overlayfs can be mounted here (it needs root)\n");
    } else {
        CLEANUP(pinned_place_clear) struct pinned_place before = {.fd = -1}, after = {.fd = -1};
        assert_int_equal(run("touch %s/new", app), 0);
        assert_int_equal(pins_enter(fixture->pins, app, &before), 0);
        assert_false(before.mixed);
        assert_int_equal(run("rm -r %s && mkdir %s", app, app), 0);
        assert_int_equal(pins_enter(fixture->pins, app, &after), 0);
        assert_true(after.mixed);
        assert_string_equal(after.directory, app);
        pins_unref(fixture->pins);
        fixture->pins = NULL;
        assert_int_equal(run("umount %s/merged", fixture->base), 0);
    }
    assert_int_equal(run("cd %s && rm -r lower upper work merged", fixture->base), 0);
}

/* Who knows why. */
static void test_called_deleted(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *odd = string_format("%s/odd (deleted)", fixture->base);
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    assert_int_equal(mkdir(odd, 0700), 0);
    assert_int_equal(pins_hold(fixture->pins, odd), 0);
    assert_int_equal(pins_enter(fixture->pins, odd, &place), 0);
    assert_false(place.mixed);
    assert_string_equal(place.directory, odd);
    assert_int_equal(rmdir(odd), 0);
}

static void test_removed_for_good(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    assert_int_equal(rmdir(fixture->one), 0);
    assert_int_equal(pins_enter(fixture->pins, fixture->current, &place), 0);
    assert_string_equal(place.directory, fixture->current);
    assert_int_equal(place.fd, -ENOENT);
}

static void test_comes_later(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *late = string_format("%s/late", fixture->base);
    CLEANUP(pinned_place_clear) struct pinned_place before = {.fd = -1}, after = {.fd = -1};
    assert_int_equal(pins_enter(fixture->pins, late, &before), 0);
    assert_int_equal(before.fd, -ENOENT);
    assert_string_equal(before.directory, late);
    assert_int_equal(mkdir(late, 0700), 0);
    assert_int_equal(pins_enter(fixture->pins, late, &after), 0);
    assert_true(after.fd >= 0);
    assert_false(after.mixed);
}

/* Was it noticed? */
static bool is_mixed(struct fixture *fixture, const char *const *argv, const char *executable)
{
    CLEANUP(pinned_place_clear) struct pinned_place place = {.fd = -1};
    assert_int_equal(pins_enter(fixture->pins, fixture->current, &place), 0);
    assert_int_equal(pins_compare_program(fixture->pins, &place, (char *const *)argv, executable),
                     0);
    assert_int_equal(place.remark != NULL, place.mixed);
    return place.mixed;
}

/* A new file of the name, as a deploy makes it. */
static void replace_file(const char *directory, const char *name)
{
    CLEANUP_FREE char *draft = string_format("%s/draft", directory),
                      *path = string_format("%s/%s", directory, name);
    live_write_file(directory, "draft", "x");
    assert_int_equal(rename(draft, path), 0);
}

static void test_program_file(void **state)
{
    struct fixture *fixture = *state;
    static const char *const argv[] = {"node", "--flag", "app.js", "other", NULL};
    static const char *const bare[] = {"serve", "--flag", NULL};
    CLEANUP_FREE char *binary = string_format("%s/serve", fixture->two);
    replace_file(fixture->one, "app.js");
    replace_file(fixture->two, "serve");
    assert_false(is_mixed(fixture, argv, binary));
    assert_false(is_mixed(fixture, bare, binary));
    replace_file(fixture->one, "other");
    assert_false(is_mixed(fixture, argv, binary));
    replace_file(fixture->one, "app.js");
    assert_true(is_mixed(fixture, argv, binary));
    assert_false(is_mixed(fixture, bare, binary));
    replace_file(fixture->two, "serve");
    assert_true(is_mixed(fixture, bare, binary));
}

static void test_link_is_no_replacement(void **state)
{
    struct fixture *fixture = *state;
    static const char *const argv[] = {"node", "app.js", NULL};
    replace_file(fixture->one, "app.js");
    replace_file(fixture->two, "app.js");
    assert_false(is_mixed(fixture, argv, "/bin/sh"));
    swap_link(fixture);
    assert_false(is_mixed(fixture, argv, "/bin/sh"));
}

/* Whoever names the file by the link gets what the link leads to: that cannot be held, so it is told. */
static void test_file_by_the_link(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_FREE char *path = string_format("%s/app.js", fixture->current);
    const char *const argv[] = {"node", path, NULL};
    replace_file(fixture->one, "app.js");
    replace_file(fixture->two, "app.js");
    assert_false(is_mixed(fixture, argv, "/bin/sh"));
    swap_link(fixture);
    assert_true(is_mixed(fixture, argv, "/bin/sh"));
}

/* A directory of its own for each slot: what has the same name in another one is another file, not a replacement. */
static void test_same_name_elsewhere(void **state)
{
    struct fixture *fixture = *state;
    static const char *const argv[] = {"node", "app.js", NULL};
    CLEANUP(pinned_place_clear) struct pinned_place one = {.fd = -1}, two = {.fd = -1};
    replace_file(fixture->one, "app.js");
    replace_file(fixture->two, "app.js");
    assert_int_equal(pins_enter(fixture->pins, fixture->one, &one), 0);
    assert_int_equal(pins_compare_program(fixture->pins, &one, (char *const *)argv, "/bin/sh"), 0);
    assert_int_equal(pins_enter(fixture->pins, fixture->two, &two), 0);
    assert_int_equal(pins_compare_program(fixture->pins, &two, (char *const *)argv, "/bin/sh"), 0);
    assert_false(two.mixed);
    replace_file(fixture->two, "app.js");
    assert_int_equal(pins_compare_program(fixture->pins, &two, (char *const *)argv, "/bin/sh"), 0);
    assert_true(two.mixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_link_is_followed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_renamed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_from_overlay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_called_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_for_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_comes_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_program_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_by_the_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link_is_no_replacement, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_name_elsewhere, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
