/* What is printed loads to the same; the example shows every key there is. */
#include "config-test.h"

#include "config/diff.h"
#include "base/fd.h"
#include "base/strv.h"
#include "config/keys.h"
#include "config/quote.h"

static char *print(const struct config *config)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(config_print(config, stream), 0);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void assert_round_trip(struct config *config)
{
    CLEANUP_FREE char *once = print(config);
    struct config *again = load_text(once);
    CLEANUP_FREE char *twice = print(again);
    CLEANUP(config_diff_freep) struct config_diff *diff = NULL;
    assert_int_equal(config_diff_new(config, again, &diff), 0);
    assert_string_equal(once, twice);
    assert_true(config_diff_is_empty(diff));
    assert_int_equal(config->n_programs, again->n_programs);
    assert_int_equal(config->runtime_directory_default, again->runtime_directory_default);
    for (size_t i = 0; i < config->n_programs; i++) {
        assert_true(strv_equal(config->programs[i]->command, again->programs[i]->command));
        assert_true(strv_equal(config->programs[i]->environment, again->programs[i]->environment));
    }
    (void)config_unref(again);
    (void)config_unref(config);
}

static void test_round_trip(void **state UNUSED)
{
    assert_round_trip(load_text("programs: {p: {command: x}}"));
    assert_round_trip(load_text(
        "pid_file: '/x/100%%/%(here)s'\n"
        "process_title: 'a: b # c'\n"
        "runtime_directory: /r\n"
        "log: {level: trace, format: json, file: '- x'}\n"
        "control: {socket: none, mode: '0644', group: 0}\n"
        "gateway: {listen: '[::1]:99', username: 'a%%b', password: 'c%d e', public: [readyz, "
        "metrics], user: root}\n"
        "sockets:\n"
        "  null: {listen: '[::1]:80', backlog: 7, nonblocking: false, ipv6_only: true}\n"
        "  b: {listen: unix:/tmp/x y, mode: '0600'}\n"
        "  -c: {listen: '127.0.0.1:81%(process_num)02d'}\n"
        "programs:\n"
        "  'no': {command: [node, '', ' ', 'a\"b', \"tab\\t\", 'ü€𝄞', '%%', ~, "
        "\"a \\u2028 b \\u2029 \\ufeff \\x85 c\", 'x: y', '[', '#', '*a', '!', '%(here)s'],\n"
        "       sockets: [-c], listen: [90, '[::]:91'], workers: 4, environment: {NULL: "
        "'', a.b: '  x  ', N: \"1\\n2\\n\"}}\n"
        "  q: {command: x, groups: [g, h], restart: unexpected, expected_exit_codes: [0, 2, 255], "
        "start_retries: 3, max_restarts: {count: 5, within: 10m}, exit_on_fatal: true, listen: 92, "
        "handoff: stdin, ready: {after: 1500ms}, "
        "drain_signal: RTMIN+2, stop_signal: '33', directory: '%(here)s/tmp',\n"
        "      watchdog: 1m, health: {http: 'http://127.0.0.1:%(process_num)s/a?b=100%%', "
        "interval: 1s, timeout: 1500ms, failures: 7},\n"
        "      backoff: {initial: 10ms, factor: 1.25, jitter: 0.05}, recycle: {max_memory: 512M, "
        "max_age: 24h, jitter: 25%}, reload: {order: "
        "ready-first, probation: 2s, max_surge: 10%, check_command: 'a \"b c\"'}}\n"
        "  w: {command: x, watch: ['a b/', '100%%/*.js'], watch_ignore: [], "
        "reload_delay: 100ms}\n"
        "  e: {command: x, on_event: {types: [message, fatal, crash], command: [a, 'b c', "
        "'%(here)s']}}\n"
        "  h: {command: x, ready: {http: 'http://unix:/%(program_name)s.sock:/'}, health: {tcp: "
        "81}}\n"
        "  i: {command: x, stdin: pipe}\n"
        "  v: {command: x, ready: {tcp: '[::1]:81'}, watch: true, watch_ignore: [x y]}\n"));
}

static void test_quote(void **state UNUSED)
{
    CLEANUP_FREE char *invalid = yaml_quote("a\xff"), *overlong = yaml_quote("\xc0\x80"),
                      *cut = yaml_quote("a\xe2\x82");
    assert_null(invalid);
    assert_null(overlong);
    assert_null(cut);
    CLEANUP_FREE char *plain = yaml_quote("a/b-c_d.e@f+g"), *quoted = yaml_quote("a\n\"\\"),
                      *word = yaml_quote("Null");
    assert_string_equal(plain, "a/b-c_d.e@f+g");
    assert_string_equal(quoted, "\"a\\u000a\\\"\\\\\"");
    assert_string_equal(word, "\"Null\"");
}

static char *read_example(void)
{
    const char *path = getenv("RELOADER_EXAMPLE");
    char *text = NULL;
    size_t size;
    assert_non_null(path);
    assert_int_equal(fd_read_file(path, CONFIG_FILE_SIZE_MAX, &text, &size), 0);
    return text;
}

/* "#key: value" and "#  key: value" become keys; prose has one blank behind its '#'. */
static bool is_commented_key(const char *hash)
{
    const char *key = hash + 1;
    if (strncmp(key, "  ", 2) == 0)
        key += 2;
    size_t length = strspn(key, "abcdefghijklmnopqrstuvwxyz_6");
    return length > 0 && key[length] == ':';
}

static void uncomment(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        bool line_begins = to == text || strspn(from, " ") == 0;
        const char *line = to;
        while (line > text && line[-1] == ' ')
            line--;
        bool first = line == text || line[-1] == '\n';
        if (*from == '#' && line_begins && first && is_commented_key(from))
            continue;
        *to++ = *from;
    }
    *to = '\0';
}

static void test_example(void **state UNUSED)
{
    const struct config_source source = {.path = getenv("RELOADER_EXAMPLE")};
    struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    int r = config_load(&source, &config, &errors);
    if (r < 0)
        print_error("%s\n", errors);
    assert_int_equal(r, 0);
    assert_string_equal(config->programs[0]->name, "echo");
    assert_string_equal(config->programs[0]->command[0],
                        "%(here)s/build/examples/tcp-echo/tcp-echo");
    assert_int_equal(config->programs[0]->workers, 4);
    assert_string_equal(config->sockets[0]->listen, "127.0.0.1:7000");
    (void)config_unref(config);
}

/* What the example calls defaults are the defaults. */
static void test_example_with_all_keys(void **state UNUSED)
{
    CLEANUP_FREE char *example = read_example(), *all = strdup(example);
    uncomment(all);
    assert_true(strlen(all) + 40 < strlen(example));
    struct config *plain = load_text(example), *whole = load_text(all);
    CLEANUP_FREE char *a = print(plain), *b = print(whole);
    assert_string_equal(a, b);
    (void)config_unref(plain);
    (void)config_unref(whole);
}

static void test_example_is_complete(void **state UNUSED)
{
    CLEANUP_FREE char *all = read_example();
    uncomment(all);
    for (const struct key_table *const *table = key_tables; *table; table++)
        for (const struct key *key = (*table)->keys; key->name; key++) {
            char text[64];
            (void)snprintf(text, sizeof(text), " %s:", key->name);
            text[0] = strstr(all, text) ? ' ' : '\n';
            if (key->type)
                assert_has(all, text);
        }
}

static void test_keys(void **state UNUSED)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    config_print_keys(stream);
    assert_int_equal(fclose(stream), 0);
    for (const struct key_table *const *table = key_tables; *table; table++)
        for (const struct key *key = (*table)->keys; key->name; key++)
            if (key->type && !key->table) {
                assert_non_null(key->help);
                assert_has(text, key->help);
                assert_true(key->required || key->default_text || key->default_help);
            }
    assert_has(text, "default graceful_shutdown\n");
}

/* Names of other tools never hide one of ours, and what a hint calls ours is there. */
static void test_foreign_names(void **state UNUSED)
{
    for (const struct key_table *const *table = key_tables; *table; table++)
        for (const struct foreign_key *foreign = (*table)->foreign; foreign && foreign->name;
             foreign++) {
            char ours[64];
            assert_null(key_find(*table, foreign->name));
            int end = 0;
            if (sscanf(foreign->hint, "called '%63[a-z_]' here%n", ours, &end) == 1 && end > 0 &&
                !key_find(*table, ours))
                fail_msg("%s.%s: there is no %s", (*table)->path, foreign->name, ours);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_example_with_all_keys),
        cmocka_unit_test(test_example_is_complete),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_foreign_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
