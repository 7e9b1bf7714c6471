/* The keys of the watch. */
#include "config-test.h"

#include "base/strv.h"

static void test_watch(void **state UNUSED)
{
    struct config *config = load_program("directory: /");
    const struct config_program *p = config->programs[0];
    assert_false(config->watch_config);
    assert_false(p->watch);
    assert_null(p->watch_paths);
    assert_true(strv_contains(p->watch_ignore, ".git"));
    assert_int_equal(p->reload_delay_usec, 5 * USEC_PER_SEC);
    (void)config_unref(config);

    config = load_text("watch_config: false\n"
                       "programs: {p: {command: x, watch: [lib/, '%(program_name)s/**/*.js', "
                       "'100%%'], watch_ignore: [], reload_delay: 0s}, q: {command: x, watch: yes, "
                       "watch_ignore: '*.tmp'}, r: {command: x, watch: 'yes'}}");
    p = config->programs[0];
    assert_true(p->watch);
    assert_int_equal(strv_length(p->watch_paths), 3);
    assert_string_equal(p->watch_paths[1], "p/**/*.js");
    assert_string_equal(p->watch_paths[2], "100%");
    assert_null(p->watch_ignore);
    assert_int_equal(p->reload_delay_usec, 0);
    assert_true(config->programs[1]->watch);
    assert_null(config->programs[1]->watch_paths);
    assert_int_equal(strv_length(config->programs[1]->watch_ignore), 1);
    assert_string_equal(config->programs[2]->watch_paths[0], "yes");
    (void)config_unref(config);
}

static void test_watch_refused(void **state UNUSED)
{
    assert_program_refused("watch: []", "programs.p.watch: empty, expected paths");
    assert_program_refused("watch: {a: b}", "expected paths, as [lib/, views/], or true");
    assert_program_refused("watch: [[a]]", "a list is wrong here, expected a path");
    assert_program_refused("watch: ['']", "empty, expected a path");
    assert_program_refused("watch: ['*.{js,ts}']", "write a pattern for each");
    assert_program_refused("watch: ['a**']", "is a whole name");
    assert_program_refused("watch: ['[a']", "without its ']'");
    assert_program_refused("watch: '%(process_num)s/x'", "programs.p.watch: ");
    assert_program_refused("watch_ignore: [a/b]", "programs.p.watch_ignore: 'a/b': ");
    assert_program_refused("watch_ignore: ['!a']", "there are no exceptions");
    assert_program_refused("watch_ignore: {a: b}", "expected names");
    assert_program_refused("reload_delay: 5", "has no unit");
    assert_program_refused("reload_delay: 2h", "out of range");
    assert_program_refused("ignore_watch: [a]", "called 'watch_ignore' here");
    assert_refused("watch_config: maybe\nprograms: {p: {command: x}}",
                   "watch_config: 'maybe' is wrong here, expected true or false");
    assert_refused("watch_config: true\nprograms: {p: {command: x}}",
                   "watch_config: there is no file to watch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_watch_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
