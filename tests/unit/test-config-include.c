/* Other files with sockets and programs: which are read, in what order, and whose errors are whose. */
#include "config-test.h"

#include "base/strv.h"
#include "config/diff.h"
#include "config/expand.h"
#include "config/glob.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static char *path_of(const char *name)
{
    char *path = string_format("%s/%s", directory, name);
    assert_non_null(path);
    return path;
}

static void put_bytes(const char *name, const char *bytes, size_t size)
{
    CLEANUP_FREE char *path = path_of(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static void put_directory(const char *name)
{
    CLEANUP_FREE char *path = path_of(name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int set_up(void **state UNUSED)
{
    strcpy(directory, "/tmp/reloader-test-include-XXXXXX");
    assert_non_null(mkdtemp(directory));
    put_directory("conf.d");
    return 0;
}

static int remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
                      struct FTW *ftw UNUSED)
{
    return remove(path);
}

static int tear_down(void **state UNUSED)
{
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct config *load_sets(char *const *sets)
{
    CLEANUP_FREE char *path = path_of("main.yaml"), *errors = NULL;
    const struct config_source source = {.path = path, .sets = sets};
    struct config *config = NULL;
    int r = config_load(&source, &config, &errors);
    if (r < 0)
        print_error("%s", errors);
    assert_int_equal(r, 0);
    return config;
}

static struct config *load(void)
{
    return load_sets(NULL);
}

/* The errors, with "D" for the directory of the test. */
static char *refuse_sets(char *const *sets)
{
    CLEANUP_FREE char *path = path_of("main.yaml");
    const struct config_source source = {.path = path, .sets = sets};
    char *errors = refuse_source(&source, -EINVAL);
    for (char *at = errors; (at = strstr(at, directory));) {
        *at++ = 'D';
        memmove(at, at + strlen(directory) - 1, strlen(at + strlen(directory) - 1) + 1);
    }
    return errors;
}

static void assert_errors(const char *expected)
{
    CLEANUP_FREE char *errors = refuse_sets(NULL);
    assert_string_equal(errors, expected);
}

static void assert_error(const char *part)
{
    CLEANUP_FREE char *errors = refuse_sets(NULL);
    assert_has(errors, part);
}

static void assert_programs(const struct config *config, const char *names)
{
    CLEANUP_FREE char *all = strdup("");
    for (size_t i = 0; i < config->n_programs; i++) {
        CLEANUP_FREE char *shorter = all;
        all = string_format("%s%s%s", shorter, i == 0 ? "" : " ", config->programs[i]->name);
        assert_int_equal(config->programs[i]->number, i);
    }
    assert_string_equal(all, names);
}

static void assert_file(const struct config_file *file, const char *name)
{
    CLEANUP_FREE char *path = path_of(name);
    assert_string_equal(file->path, path);
    assert_string_equal(config_file_name(file), path);
}

static void test_order(void **state UNUSED)
{
    put("main.yaml", "include: [z.yaml, conf.d/*.yaml, '*.none']\n"
                     "sockets: {own: {listen: 'unix:@own'}}\n"
                     "programs: {m: {command: x, sockets: [own, b]}}\n");
    put("conf.d/b.yaml",
        "sockets: {b: {listen: 'unix:@b'}}\nprograms: {b: {command: x, sockets: [z]}}\n");
    put("conf.d/a.yaml", "programs:\n  a2: {command: x}\n  a1: {command: x}\n");
    put("conf.d/B.yaml", "programs: {B: {command: x, sockets: own}}\n");
    put("conf.d/.hidden.yaml", "nonsense");
    put("conf.d/a.yaml~", "nonsense");
    put("conf.d/empty.yaml", "# nothing yet\n");
    put("conf.d/null.yaml", "sockets:\nprograms: ~\n");
    put("z.yaml", "sockets: {z: {listen: 'unix:@z'}}\nprograms: {z: {command: x}}\n");
    CLEANUP_CONFIG struct config *config = load();
    assert_programs(config, "m z B a2 a1 b");
    assert_int_equal(config->n_sockets, 3);
    assert_string_equal(config->sockets[0]->name, "own");
    assert_string_equal(config->sockets[1]->name, "z");
    assert_string_equal(config->sockets[2]->name, "b");
    assert_ptr_equal(config->programs[0]->sockets[1], config->sockets[2]);
    assert_ptr_equal(config->programs[2]->sockets[0], config->sockets[0]);
    assert_ptr_equal(config->programs[5]->sockets[0], config->sockets[1]);
}

static void test_what_was_read(void **state UNUSED)
{
    put("main.yaml", "include: [z.yaml, 'conf.d/*.yaml', './%(here)s/*.none']\n"
                     "programs: {m: {command: x}}\n");
    put("conf.d/a.yaml", "sockets: {s: {listen: 'unix:@s'}}\nprograms:\n\n  a: {command: x}\n");
    put("z.yaml", "");
    CLEANUP_CONFIG struct config *config = load();
    static const char *const names[] = {"main.yaml", "z.yaml", "conf.d/a.yaml"};
    assert_int_equal(config->n_files, ARRAY_SIZE(names));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_file(config->files[i], names[i]);
        assert_int_equal(config->files[i]->number, i);
    }
    assert_null(config->files[3]);
    assert_ptr_equal(config->programs[0]->file, config->files[0]);
    assert_ptr_equal(config->programs[1]->file, config->files[2]);
    assert_int_equal(config->programs[1]->line, 4);
    assert_int_equal(config->programs[1]->column, 3);
    assert_ptr_equal(config->sockets[0]->file, config->files[2]);
    assert_ptr_equal(config->path, config->files[0]->path);
    assert_int_equal(config->n_includes, 3);
    CLEANUP_FREE char *pattern = path_of("conf.d/*.yaml");
    assert_string_equal(config->includes[1].pattern, pattern);
    assert_int_equal(config->includes[0].n_files, 1);
    assert_int_equal(config->includes[1].n_files, 1);
    assert_int_equal(config->includes[2].n_files, 0);
}

/* What is relative begins at the file that says it, whoever includes that. */
static void test_relative(void **state UNUSED)
{
    put_directory("conf.d/sub");
    put("env", "X=main\n");
    put("conf.d/env", "X=included\n");
    put("main.yaml",
        "include: conf.d/a.yaml\n"
        "programs: {m: {command: '%(here)s/x', environment_file: env, listen: 'unix:s'}}\n");
    put("conf.d/a.yaml",
        "sockets: {s: {listen: 'unix:%(here)s/t'}}\n"
        "programs:\n"
        "  a: {command: '%(here)s/x', environment_file: env, directory: sub, listen: 'unix:s'}\n"
        "  b: {command: x, directory: '%(here)s'}\n"
        "  c: {command: x, worker_name: 'c%(here)s'}\n");
    CLEANUP_CONFIG struct config *config = load();
    CLEANUP_FREE char *conf = path_of("conf.d"), *sub = path_of("conf.d/sub"),
                      *env = path_of("conf.d/env"), *main_env = path_of("env"),
                      *in_main = path_of("s"), *in_conf = path_of("conf.d/s"),
                      *named = path_of("conf.d/t");
    assert_string_equal(config->here, directory);
    assert_string_equal(config->programs[0]->file->directory, directory);
    assert_string_equal(config->programs[0]->directory, directory);
    assert_string_equal(config->programs[0]->environment_file, main_env);
    assert_string_equal(config->programs[1]->file->directory, conf);
    assert_string_equal(config->programs[1]->directory, sub);
    assert_string_equal(config->programs[1]->environment_file, env);
    assert_string_equal(config->programs[2]->directory, "%(here)s");
    assert_string_equal(config->programs[3]->directory, conf);
    assert_string_equal(address_unix_path(&config->sockets[0]->address), named);
    assert_string_equal(address_unix_path(&config->sockets[1]->address), in_main);
    assert_string_equal(address_unix_path(&config->sockets[2]->address), in_conf);
}

/* The directory's own name is no pattern. */
static void test_odd_directory(void **state UNUSED)
{
    char parent[sizeof(directory)];
    strcpy(parent, directory);
    put_directory("a[1]*");
    strcat(directory, "/a[1]*");
    put("main.yaml",
        "include: ['*.inc', '%(here)s/[[]x].inc', one.inc]\nprograms: {m: {command: x}}\n");
    put("one.inc", "programs: {one: {command: x}}\n");
    put("[x].inc", "programs: {two: {command: x}}\n");
    struct config *config = load();
    strcpy(directory, parent);
    assert_programs(config, "m two one");
    assert_int_equal(config->includes[0].n_files, 2);
    assert_int_equal(config->includes[1].n_files, 1);
    assert_int_equal(config->n_files, 3);
    (void)config_unref(config);
}

static void test_levels(void **state UNUSED)
{
    put("main.yaml",
        "include: ['*/reloader.yaml', '?/r*[xy].yaml']\nprograms: {m: {command: x}}\n");
    put_directory("b");
    put_directory("a");
    put_directory("c");
    put("b/reloader.yaml", "programs: {b: {command: x}}\n");
    put("a/reloader.yaml", "programs: {a: {command: x}}\n");
    put("c/rx.yaml", "programs: {rx: {command: x}}\n");
    put("c/rz.yaml", "programs: {rz: {command: x}}\n");
    struct config *config = load();
    assert_programs(config, "m a b rx");
    (void)config_unref(config);
}

/* Whatever names it, and whatever it is called: the main file, too. */
static void test_read_once(void **state UNUSED)
{
    put("main.yaml",
        "include: [a.yaml, ./a.yaml, '*.yaml', conf.d/../a.yaml]\nprograms: {m: {command: x}}\n");
    put("a.yaml", "programs: {a: {command: x}}\n");
    CLEANUP_FREE char *from = path_of("a.yaml"), *to = path_of("b.yaml");
    assert_int_equal(symlink(from, to), 0);
    struct config *config = load();
    assert_programs(config, "m a");
    assert_int_equal(config->n_files, 2);
    (void)config_unref(config);
}

static void test_main_may_be_empty(void **state UNUSED)
{
    put("main.yaml", "include: a.yaml\n");
    put("a.yaml", "programs: {a: {command: x}}\n");
    struct config *config = load();
    assert_programs(config, "a");
    (void)config_unref(config);
    put("a.yaml", "sockets: {}\n");
    assert_error("D/main.yaml:1:1: programs: there is nothing to run");
    put("main.yaml", "include: ~\nprograms: {m: {command: x}}\n");
    config = load();
    assert_int_equal(config->n_files, 1);
    (void)config_unref(config);
}

static void test_sets(void **state UNUSED)
{
    put("main.yaml", "include: a.yaml\nprograms: {m: {command: x}}\n");
    put("a.yaml", "programs: {a: {command: x, workers: 2}}\n");
    put("b.yaml", "programs: {a.b: {command: x}}\n");
    char *both[] = {(char *)"programs.a.workers=3", (char *)"include=[a.yaml, 'b*.yaml']",
                    (char *)"programs.a.b.workers=4", (char *)"programs.a.directory=conf.d", NULL};
    struct config *config = load_sets(both);
    assert_programs(config, "m a a.b");
    assert_int_equal(config->programs[1]->workers, 3);
    assert_int_equal(config->programs[2]->workers, 4);
    CLEANUP_FREE char *conf = path_of("conf.d");
    assert_string_equal(config->programs[1]->directory, conf);
    (void)config_unref(config);
    char *none[] = {(char *)"include=~", NULL};
    config = load_sets(none);
    assert_programs(config, "m");
    (void)config_unref(config);
    char *wrong[] = {(char *)"programs.a.workers=0", (char *)"include=missing.yaml", NULL};
    CLEANUP_FREE char *errors = refuse_sets(wrong);
    assert_has(errors, "--set include=missing.yaml: include: there is no file 'D/missing.yaml'\n");
    assert_has(errors, "--set programs.a.workers=0: programs.a.workers: '0' is out of range");
}

/* `reloader run` */
static void test_of_text(void **state UNUSED)
{
    put("a.yaml", "programs:\n  a: {command: x}\n");
    const struct config_source source = {.text = "include: a.yaml\nprograms: {m: {command: x}}",
                                         .directory = directory};
    struct config *config = NULL;
    char *none = NULL;
    assert_int_equal(config_load(&source, &config, &none), 0);
    assert_programs(config, "m a");
    assert_null(config->path);
    assert_null(config->files[0]->path);
    assert_string_equal(config_file_name(config->programs[0]->file), "command line");
    assert_file(config->programs[1]->file, "a.yaml");
    (void)config_unref(config);

    put("a.yaml", "programs:\n  m: {command: x}\n");
    CLEANUP_FREE char *errors = refuse_source(&source, -EINVAL);
    assert_has(errors, "a.yaml:2:3: programs.m: this name is there twice, first in command line");
}

static void test_same_name(void **state UNUSED)
{
    put("main.yaml", "include: ['conf.d/*']\n"
                     "sockets: {s: {listen: 'unix:@s'}}\n"
                     "programs:\n  web: {command: x}\n");
    put("conf.d/a", "programs:\n  q: {command: x}\n  web: {command: x, workers: 0}\n");
    put("conf.d/b", "sockets: {s: {listen: 'unix:@t'}}\nprograms: {q: {command: x}}\n");
    assert_errors("D/conf.d/a:3:3: programs.web: this name is there twice, first in "
                  "D/main.yaml:4:3: rename one of the two\n"
                  "D/conf.d/a:3:30: programs.web.workers: '0' is out of range, expected a number "
                  "from 1 to 1024, or auto\n"
                  "D/conf.d/b:1:11: sockets.s: this name is there twice, first in "
                  "D/main.yaml:2:11: rename one of the two\n"
                  "D/conf.d/b:2:12: programs.q: this name is there twice, first in D/conf.d/a:2:3: "
                  "rename one of the two\n");
}

static void test_all_errors_at_once(void **state UNUSED)
{
    put("main.yaml", "include: [conf.d/*, missing]\n\n\n\n"
                     "programs:\n  m: {command: x, workers: 0}\n");
    put("conf.d/a", "programs: [\n");
    put("conf.d/b", "include: c\nlog: {level: debug}\nprogramms: {}\nsockets: []\nprograms: x\n");
    put("conf.d/c", "- a\n");
    put("conf.d/d", "programs: {d: {command: x, nope: 1}}\n");
    assert_errors("D/main.yaml:1:21: include: there is no file 'D/missing'\n"
                  "D/main.yaml:6:28: programs.m.workers: '0' is out of range, expected a number "
                  "from 1 to 1024, or auto\n"
                  "D/conf.d/a:2:1: no valid YAML: did not find expected node content while parsing "
                  "a flow node that began in line 2\n"
                  "D/conf.d/b:1:1: include: an included file includes no others: name them under "
                  "'include' of D/main.yaml\n"
                  "D/conf.d/b:2:1: log: an included file holds sockets and programs alone: this "
                  "belongs into D/main.yaml\n"
                  "D/conf.d/b:3:1: programms: unknown key (did you mean 'programs'?)\n"
                  "D/conf.d/b:4:10: sockets: a list is wrong here, expected names and what they "
                  "mean (web: {…})\n"
                  "D/conf.d/b:5:11: programs: 'x' is wrong here, expected names and what they mean "
                  "(web: {…})\n"
                  "D/conf.d/c:1:1: a list is wrong here, expected keys and values (programs: …)\n"
                  "D/conf.d/d:1:28: programs.d.nope: unknown key\n");
}

/* Two things that go together badly, in two files: both are named. */
static void test_across_files(void **state UNUSED)
{
    put("main.yaml", "include: a\n\n\nsockets: {s: {listen: 'unix:@x'}}\nprograms: {m: {command: "
                     "x, listen: ['fd:5', 'unix:@own']}}\n");
    put("a", "sockets: {t: {listen: 'unix:@x'}, f: {listen: 'fd:5'}}\n");
    assert_error("D/a:1:23: sockets.t.listen: unix:@x is the address of socket 's' in "
                 "D/main.yaml:4:11 as well");
    assert_error(
        "D/main.yaml:5:37: programs.m.listen: descriptor 5 is socket 'f' in D/a:1:35 as well");
    put("a", "programs: {s: {command: x, listen: 'unix:@b'}}\n");
    assert_error("D/a:1:36: programs.s.listen: this socket would be called 's', as one in "
                 "D/main.yaml:4:11 is");
    put("a", "programs: {n: {command: x, worker_name: m/0}}\n");
    assert_error("D/a:1:41: programs.n.worker_name: a worker of 'm' and one of 'n' would both be "
                 "called 'm/0'");
    put("a", "\nprograms: {n: {command: x, sockets: q}}\n");
    assert_error("D/a:2:37: programs.n.sockets: there is no socket 'q' under 'sockets'");
}

static void test_no_file(void **state UNUSED)
{
    CLEANUP_FREE char *fifo = path_of("fifo.x"), *dangling = path_of("dangling.x"),
                      *closed = path_of("closed");
    put_directory("dir.x");
    assert_int_equal(mkfifo(fifo, 0644), 0);
    assert_int_equal(symlink("/nowhere/at/all", dangling), 0);
    put("main.yaml", "include: '*.x'\nprograms: {m: {command: x}}\n");
    assert_errors("D/main.yaml:1:10: include: there is no file 'D/dangling.x'\n"
                  "D/main.yaml:1:10: include: 'D/dir.x' is a directory: name the files in it, as "
                  "D/dir.x/*.yaml\n"
                  "D/main.yaml:1:10: include: cannot read 'D/fifo.x': this is no regular file (a "
                  "FIFO or a device?)\n");
    put("main.yaml",
        "include: [conf.d/, main.yaml/*, nowhere/*, /dev/null]\nprograms: {m: {command: x}}\n");
    assert_errors("D/main.yaml:1:11: include: 'D/conf.d/' is a directory: name the files in it, as "
                  "D/conf.d/*.yaml\n"
                  "D/main.yaml:1:44: include: cannot read '/dev/null': this is no regular file (a "
                  "FIFO or a device?)\n");
    if (geteuid() == 0) {
        print_message("# as root no file and no directory is unreadable: not tried\n");
        return;
    }
    put_directory("closed");
    assert_int_equal(chmod(closed, 0), 0);
    put("main.yaml", "include: closed/*\nprograms: {m: {command: x}}\n");
    assert_error("D/main.yaml:1:10: include: cannot look into 'D/closed': Permission denied\n");
    assert_int_equal(chmod(closed, 0700), 0);
}

static void test_patterns_refused(void **state UNUSED)
{
    static const struct {
        const char *include, *message;
    } wrong[] = {
        {"[*.yaml]", ":1:12: no valid YAML: did not find expected alphabetic or numeric character "
                     "while scanning an alias that began in line 1 (what begins with a star needs "
                     "quotes: \"*.yaml\")"},
        {"a/**/b.yaml", ":1:10: include: ** is not known: write a pattern for each level"},
        {"{files: x}",
         ":1:10: include: a mapping is wrong here, expected a path or a pattern, as conf.d/*.yaml"},
        {"[[x]]", ":1:11: include: a list is wrong here"},
        {"['']", ":1:11: include: nothing is wrong here"},
        {"[~]", ":1:11: include: nothing is wrong here"},
        {"'%(program_name)s'", ":1:10: include: %(program_name)s is not known here; known here: "
                               "%(here)s %(host_node_name)s"},
        {"'50%'", ":1:10: include: '%' is no expansion"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), "include: %s\nprograms: {m: {command: x}}\n",
                       wrong[i].include);
        put("main.yaml", text);
        assert_error(wrong[i].message);
    }
}

static void test_bounds(void **state UNUSED)
{
    size_t size = CONFIG_FILE_SIZE_MAX;
    CLEANUP_FREE char *large = malloc(size + 1), *text = strdup("include: [");
    assert_non_null(large);
    memset(large, '\n', size + 1);
    put("main.yaml", "include: conf.d/*\nprograms: {m: {command: x}}\n");
    put_bytes("conf.d/too-large", large, size + 1);
    assert_error("conf.d/too-large': this file is larger than 1 MiB\n");
    put_bytes("conf.d/too-large", large, 0);
    for (unsigned i = 0; i < 4; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "conf.d/%u", i);
        put_bytes(name, large, size);
    }
    assert_error("D/main.yaml:1:10: include: all files together are larger than 4 MiB\n");
    for (unsigned i = 0; i < 101; i++) {
        CLEANUP_FREE char *shorter = text;
        text = string_format("%s%sx*", shorter, i > 0 ? ", " : "");
    }
    CLEANUP_FREE char *many = string_format("%s]\nprograms: {m: {command: x}}\n", text);
    put("main.yaml", many);
    assert_error("D/main.yaml:1:10: include: more than 100 patterns\n");
}

static void test_many_files(void **state UNUSED)
{
    put("main.yaml", "include: conf.d/*\nprograms: {m: {command: x}}\n");
    char name[32], text[100];
    for (unsigned i = 0; i < CONFIG_FILES_MAX - 1; i++) {
        (void)snprintf(name, sizeof(name), "conf.d/%u", i);
        (void)snprintf(text, sizeof(text), i < 200 ? "programs: {p%u: {command: x}}" : "#%u", i);
        put(name, text);
    }
    struct config *config = load();
    assert_int_equal(config->n_files, CONFIG_FILES_MAX);
    assert_int_equal(config->n_programs, 201);
    (void)config_unref(config);
    put("conf.d/more", "");
    assert_error("D/main.yaml:1:10: include: more than 1000 files\n");
}

/* Each file is within its bounds, all together are not. */
static void test_weight(void **state UNUSED)
{
    static char text[200 << 10];
    size_t used = (size_t)snprintf(text, sizeof(text), "programs: {p: {command: [");
    for (unsigned i = 0; i < 30000; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "x,");
    (void)snprintf(text + used, sizeof(text) - used, "x]}}\n");
    put("main.yaml", "include: conf.d/*\nprograms: {m: {command: x}}\n");
    put("conf.d/a", text);
    put("conf.d/b", text);
    assert_error("D/main.yaml:1:10: include: all files together hold more than 50000 values\n");
}

static void test_too_much_to_look_at(void **state UNUSED)
{
    CLEANUP_FREE char *pattern = path_of("*/*"), *reason = NULL;
    char **found = NULL, name[64];
    for (unsigned i = 0; i < 150; i++) {
        (void)snprintf(name, sizeof(name), "d%u", i);
        put_directory(name);
    }
    for (unsigned i = 0; i < 150; i++) {
        (void)snprintf(name, sizeof(name), "d0/f%u", i);
        put(name, "");
    }
    for (unsigned i = 1; i < 150; i++) {
        CLEANUP_FREE char *to = NULL;
        (void)snprintf(name, sizeof(name), "d%u", i);
        to = path_of(name);
        assert_int_equal(rmdir(to), 0);
        assert_int_equal(symlink("d0", to), 0);
    }
    assert_int_equal(glob_find(pattern, &found, &reason), -E2BIG);
    assert_null(found);
    assert_has(reason, "more than 20000 files to look at for one pattern");
}

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

/* The merged whole means the same, although it is in the directory of the main file. */
static void test_print(void **state UNUSED)
{
    put("main.yaml", "include: 'conf.d/*'\nprograms: {m: {command: '%(here)s/x'}}\n");
    put("conf.d/a",
        "sockets: {s: {listen: 'unix:s'}, n: {listen: '[::1]:80'}}\n"
        "programs:\n"
        "  a: {command: ['%(here)s/x', '%%(here)s', '50%%', '%(process_num)s'], sockets: [n, s],\n"
        "      listen: ['unix:%(here)s/t', 'unix:p%(process_num)s', 'unix:@q'],\n"
        "      environment: {H: '<%(here)s>'}, worker_name: '%(here)60s%(process_num)s', "
        "directory: '%(here)s',\n"
        "      reload: {check_command: ['%(here)s/check']}}\n");
    put("conf.d/a b%c", "programs: {b: {command: x}}\n");
    CLEANUP_CONFIG struct config *config = NULL;
    {
        CLEANUP_FREE char *refused = refuse_sets(NULL);
        assert_has(refused,
                   "D/conf.d/a:5:52: programs.a.worker_name: the name of a worker has no blanks");
    }
    char *sets[] = {(char *)"programs.a.worker_name='%(here)s%(process_num)s'", NULL};
    config = load_sets(sets);
    CLEANUP_FREE char *once = print(config);
    put("main.yaml", once);
    assert_null(strstr(once, "include:"));
    CLEANUP_CONFIG struct config *again = load();
    assert_int_equal(again->n_files, 1);
    assert_programs(again, "m a b");
    CLEANUP_FREE char *twice = print(again);
    assert_string_equal(once, twice);
    const struct config_program *a = again->programs[1];
    CLEANUP_FREE char *x = path_of("conf.d/x"), *check = path_of("conf.d/check"),
                      *home = path_of("conf.d"), *h = string_format("H=<%s>", home);
    assert_string_equal(again->programs[0]->command[0], "%(here)s/x");
    assert_string_equal(a->command[0], x);
    assert_string_equal(a->command[1], "%%(here)s");
    assert_string_equal(a->command[2], "50%%");
    assert_string_equal(a->command[3], "%(process_num)s");
    assert_string_equal(a->environment[0], h);
    assert_string_equal(a->directory, home);
    assert_string_equal(a->reload.check_command[0], check);
    for (size_t i = 0; i < config->n_sockets; i++) {
        struct address before, after;
        const struct config_program *user = config->programs[1];
        assert_int_equal(config_socket_address(config->sockets[i], user, 0, &before), 0);
        assert_int_equal(config_socket_address(again->sockets[i], a, 0, &after), 0);
        assert_true(address_equal(&before, &after));
    }
}

/* A program that moves to a file of another directory starts something else, one that only moves to another file does not. */
static void test_moved(void **state UNUSED)
{
    static const char program[] = "programs: {p: {command: '%(here)s/x', directory: /}}\n";
    static const struct {
        const char *file;
        bool same;
    } moves[] = {{"b", true}, {"conf.d/a", false}};
    put("main.yaml", "include: ['?', 'conf.d/*']\n");
    put("a", program);
    CLEANUP_FREE char *path = path_of("a");
    CLEANUP_CONFIG struct config *from = load();
    assert_int_equal(unlink(path), 0);
    for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
        CLEANUP_FREE char *moved = path_of(moves[i].file);
        CLEANUP(config_diff_freep) struct config_diff *diff = NULL;
        put(moves[i].file, program);
        CLEANUP_CONFIG struct config *to = load();
        assert_int_equal(config_diff_new(from, to, &diff), 0);
        assert_int_equal(config_diff_is_empty(diff), moves[i].same);
        assert_int_equal(diff->programs[0].rolls, !moves[i].same);
        assert_int_equal(unlink(moved), 0);
    }
}

static void test_expand_here(void **state UNUSED)
{
    static const struct {
        const char *text, *here, *expected;
    } cases[] = {
        {"", "/h", ""},
        {"a%(here)sb", "/h", "a/hb"},
        {"%%(here)s %%%(here)s%%", "/h", "%%(here)s %%/h%%"},
        {"%(here)4s|%(process_num)02d", "/%", "  /%%|%(process_num)02d"},
        {"%(here)s%(here)s", "/", "//"},
        {"5% %(nope %(ENV_here)s", "/", "5% %(nope %(ENV_here)s"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_FREE char *text = expand_here(cases[i].text, cases[i].here);
        assert_string_equal(text, cases[i].expected);
    }
}

static void test_glob_words(void **state UNUSED)
{
    assert_true(glob_is_pattern("a*"));
    assert_true(glob_is_pattern("/a?/b"));
    assert_true(glob_is_pattern("[ab]"));
    assert_true(glob_is_pattern("[]]"));
    assert_false(glob_is_pattern("/a/b.yaml"));
    assert_false(glob_is_pattern("a[b/c]"));
    assert_false(glob_is_pattern("a["));
    assert_false(glob_is_pattern("[*][?][[]"));
    CLEANUP_FREE char *pattern = glob_from_path("/a[1]*?"), *path = glob_to_path(pattern);
    assert_string_equal(pattern, "/a[[]1][*][?]");
    assert_string_equal(path, "/a[1]*?");
    assert_false(glob_is_pattern(pattern));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),
        TEST(test_what_was_read),
        TEST(test_relative),
        TEST(test_odd_directory),
        TEST(test_levels),
        TEST(test_read_once),
        TEST(test_main_may_be_empty),
        TEST(test_sets),
        TEST(test_of_text),
        TEST(test_same_name),
        TEST(test_all_errors_at_once),
        TEST(test_across_files),
        TEST(test_no_file),
        TEST(test_patterns_refused),
        TEST(test_bounds),
        TEST(test_many_files),
        TEST(test_weight),
        TEST(test_too_much_to_look_at),
        TEST(test_print),
        TEST(test_moved),
        cmocka_unit_test(test_expand_here),
        cmocka_unit_test(test_glob_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
