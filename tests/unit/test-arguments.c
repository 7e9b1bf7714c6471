#include "config-test.h"

#include "base/strv.h"
#include "reloader/arguments.h"

#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/reloader-test-arguments-XXXXXX";

#define WORDS_MAX 20

/* Words are separated by blanks; the program's own name is put before. */
static int parse(const char *line, struct arguments *ret, char **ret_error)
{
    char words[512], *argv[WORDS_MAX] = {(char *)(uintptr_t) "reloader"};
    int argc = 1;
    (void)snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word && argc < WORDS_MAX - 1; word = strtok(NULL, " "))
        argv[argc++] = word;
    return arguments_parse(argc, argv, ret, ret_error);
}

static struct arguments parsed(const char *line)
{
    struct arguments arguments = {0};
    CLEANUP_FREE char *error = NULL;
    int r = parse(line, &arguments, &error);
    if (r < 0)
        print_error("%s: %s\n", line, error);
    assert_int_equal(r, 0);
    assert_null(error);
    return arguments;
}

static void assert_wrong(const char *line, int expected, const char *part)
{
    struct arguments arguments = {0};
    CLEANUP_FREE char *error = NULL;
    assert_int_equal(parse(line, &arguments, &error), expected);
    assert_null(arguments.path);
    assert_has(error, part);
}

static void test_file(void **state UNUSED)
{
    static const char *const lines[] = {"/etc/x.yaml", "-c /etc/x.yaml", "--config=/etc/x.yaml",
                                        "-n /etc/x.yaml", "-- /etc/x.yaml"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CLEANUP_ARGUMENTS struct arguments a = parsed(lines[i]);
        assert_int_equal(a.mode, ARGUMENTS_MODE_MASTER);
        assert_string_equal(a.path, "/etc/x.yaml");
        assert_null(a.text);
        assert_false(a.daemonize);
        assert_null(a.sets);
    }
}

static void test_options(void **state UNUSED)
{
    CLEANUP_ARGUMENTS struct arguments a = parsed(
        "x.yaml -t --set a.b=c -e debug -l x.log --set=d=e -j /run/x%.pid -u 5%6 -d");
    char path[200], log[200];
    (void)snprintf(path, sizeof(path), "%s/x.yaml", directory);
    (void)snprintf(log, sizeof(log), "log.file=%s/x.log", directory);
    assert_int_equal(a.mode, ARGUMENTS_MODE_CHECK);
    assert_true(a.daemonize);
    assert_string_equal(a.path, path);
    assert_string_equal(a.directory, directory);
    assert_int_equal(strv_length(a.sets), 6);
    assert_string_equal(a.sets[0], "a.b=c");
    assert_string_equal(a.sets[1], "log.level=debug");
    assert_string_equal(a.sets[2], log);
    assert_string_equal(a.sets[3], "d=e");
    assert_string_equal(a.sets[4], "pid_file=/run/x%%.pid");
    assert_string_equal(a.sets[5], "user=5%6");
    struct config_source source = arguments_source(&a);
    assert_ptr_equal(source.path, a.path);
    assert_ptr_equal(source.sets, a.sets);
}

static void assert_mode(const char *line, enum arguments_mode mode)
{
    CLEANUP_ARGUMENTS struct arguments a = parsed(line);
    assert_int_equal(a.mode, mode);
}

static void test_modes(void **state UNUSED)
{
    assert_mode("-t x", ARGUMENTS_MODE_CHECK);
    assert_mode("--check x", ARGUMENTS_MODE_CHECK);
    assert_mode("--print-config x", ARGUMENTS_MODE_PRINT_CONFIG);
    assert_mode("--list-keys", ARGUMENTS_MODE_LIST_KEYS);
    assert_mode("-h", ARGUMENTS_MODE_HELP);
    assert_mode("--help --nonsense", ARGUMENTS_MODE_HELP);
    assert_mode("run --help", ARGUMENTS_MODE_HELP);
    assert_mode("-V", ARGUMENTS_MODE_VERSION);
    assert_mode("--version", ARGUMENTS_MODE_VERSION);
    assert_mode("-d -n x", ARGUMENTS_MODE_MASTER);
    assert_mode("import x", ARGUMENTS_MODE_IMPORT);
    assert_mode("import import", ARGUMENTS_MODE_IMPORT);
    assert_mode("-c import", ARGUMENTS_MODE_MASTER);
    assert_mode("import --help", ARGUMENTS_MODE_HELP);
}

static void test_wrong_use(void **state UNUSED)
{
    assert_wrong("a b", -EINVAL, "two configurations, 'a' and 'b'");
    assert_wrong("-c a b", -EINVAL, "two configurations");
    assert_wrong("--dameonize x", -EINVAL,
                 "unknown option '--dameonize': did you mean '--daemonize'?");
    assert_wrong("--print-confg=3 x", -EINVAL,
                 "unknown option '--print-confg': did you mean '--print-config'?");
    assert_wrong("--check=yes x", -EINVAL, "option '--check' takes no value");
    assert_wrong("-x", -EINVAL, "unknown option -x");
    assert_wrong("-c", -EINVAL, "option '-c' needs a value");
    assert_wrong("--set", -EINVAL, "option '--set' needs a value");
    assert_wrong("-u", -EINVAL, "option '-u' needs a value");
    assert_wrong("import", -EINVAL, "'reloader import' needs a file");
    assert_wrong("import x --set a=b", -EINVAL, "'reloader import' takes no options");
    assert_wrong("import -d x", -EINVAL, "'reloader import' takes no options");
    assert_wrong("import -u me x", -EINVAL, "'reloader import' takes no options");
    assert_wrong("import --workers 8 x", -EINVAL, "'reloader import' takes no options");
    assert_wrong("--listen 80 x", -EINVAL, "--listen belongs to 'reloader run'");
    assert_wrong("--workers 8 x", -EINVAL, "--workers belongs to 'reloader run'");
    assert_wrong("run", -EINVAL, "'reloader run' needs a command");
    assert_wrong("run --listen 80 --", -EINVAL, "'reloader run' needs a command");
    assert_wrong("-c x run y", -EINVAL, "two configurations");
    assert_wrong("run -c x -- y", -EINVAL,
                 "'reloader run' takes no configuration, but 'x' is given");
    assert_wrong("-e debug\xff x", -EINVAL, "the value for log.level is no valid text");
    assert_wrong("run -- a\xff", -EINVAL, "the command is no valid text");
}

static void touch(const char *name)
{
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

static void test_search(void **state UNUSED)
{
    char expected[200];
    if (access("/etc/reloader/reloader.yaml", F_OK) < 0)
        assert_wrong("-t", -ENOENT,
                     "no configuration: there is no ./reloader.yaml, ./etc/reloader.yaml or /etc/");
    assert_int_equal(mkdir("etc", 0700), 0);
    touch("etc/reloader.yaml");
    CLEANUP_ARGUMENTS struct arguments second = parsed("");
    (void)snprintf(expected, sizeof(expected), "%s/etc/reloader.yaml", directory);
    assert_string_equal(second.path, expected);
    touch("reloader.yaml");
    CLEANUP_ARGUMENTS struct arguments first = parsed("");
    (void)snprintf(expected, sizeof(expected), "%s/reloader.yaml", directory);
    assert_string_equal(first.path, expected);
    assert_int_equal(unlink("reloader.yaml"), 0);
    assert_int_equal(unlink("etc/reloader.yaml"), 0);
    assert_int_equal(rmdir("etc"), 0);
}

static struct config *load(const struct arguments *arguments)
{
    const struct config_source source = arguments_source(arguments);
    struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    int r = config_load(&source, &config, &errors);
    if (r < 0)
        print_error("%s\n%s\n", arguments->text, errors);
    assert_int_equal(r, 0);
    return config;
}

static void test_run(void **state UNUSED)
{
    CLEANUP_ARGUMENTS struct arguments a = parsed(
        "run --listen 8080 --listen [::1]:81 --workers 4 --set programs.python3.silent=true -- "
        "/usr/bin/python3 -c 100% %(x)s --set \"q\"");
    struct config *config = load(&a);
    const struct config_program *program = config->programs[0];
    assert_null(a.path);
    assert_string_equal(program->name, "python3");
    assert_string_equal(config->sockets[0]->name, "python3");
    assert_string_equal(config->sockets[1]->name, "python3-2");
    assert_string_equal(config->sockets[1]->listen, "[::1]:81");
    assert_int_equal(program->workers, 4);
    assert_true(program->silent);
    assert_string_equal(program->directory, directory);
    /* Doubled percent signs: what the user typed is what the worker gets. */
    static const char *const words[] = {
        "/usr/bin/python3", "-c", "100%%", "%%(x)s", "--set", "\"q\"", NULL};
    assert_true(strv_equal(program->command, (char *const *)words));
    (void)config_unref(config);
}

static void test_run_variants(void **state UNUSED)
{
    static const char *const lines[] = {"run node -t --workers 3", "-n run node -t --workers 3",
                                        "run -- node -t --workers 3",
                                        "run -d -n node -t --workers 3"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CLEANUP_ARGUMENTS struct arguments a = parsed(lines[i]);
        struct config *config = load(&a);
        assert_int_equal(a.mode, ARGUMENTS_MODE_MASTER);
        assert_int_equal(strv_length(config->programs[0]->command), 4);
        assert_int_equal(config->programs[0]->workers, 1);
        assert_int_equal(config->n_sockets, 0);
        (void)config_unref(config);
    }
}

static void assert_named(const char *line, const char *name)
{
    CLEANUP_ARGUMENTS struct arguments a = parsed(line);
    struct config *config = load(&a);
    assert_string_equal(config->programs[0]->name, name);
    (void)config_unref(config);
}

static void test_run_names(void **state UNUSED)
{
    assert_named("run ./my:app@1", "my-app-1");
    assert_named("run null", "null");
    assert_named("run /", "program");
    assert_named("run 0123456789012345678901234567890123456789012345678901234567890123456789",
                 "0123456789012345678901234567890123456789012345678901234567890123");
}

static void test_help(void **state UNUSED)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    arguments_print_help(stream);
    assert_int_equal(fclose(stream), 0);
    static const char *const options[] = {
        "-c, --config",     "-t, --check",     "--print-config",  "--list-keys",    "--set",
        "-n, --foreground", "-d, --daemonize", "-e, --log-level", "-l, --log-file", "-u, --user",
        "-j, --pid-file",   "-h, --help",      "-V, --version",   "--listen",       "--workers"};
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        assert_has(text, options[i]);
}

static int setup(void **state UNUSED)
{
    return mkdtemp(directory) ? chdir(directory) : -1;
}

static int teardown(void **state UNUSED)
{
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),      cmocka_unit_test(test_options),
        cmocka_unit_test(test_modes),     cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_search),    cmocka_unit_test(test_run),
        cmocka_unit_test(test_run_names), cmocka_unit_test(test_run_variants),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
