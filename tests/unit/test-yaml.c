/* Limits and mechanics of the YAML reader: what a hostile or broken file gets. */
#include "config-test.h"

#include "config/tree.h"

#include <sys/stat.h>
#include <unistd.h>

static const struct place start = {.origin = "F", .line = 1, .column = 1};
static char directory[] = "/tmp/reloader-test-yaml-XXXXXX";

static void assert_tree_refused(const char *text, size_t size, const char *part)
{
    CLEANUP_TREE struct tree tree = {0};
    CLEANUP_ERRORS struct errors errors = {0};
    struct tree_node *root = NULL;
    assert_int_equal(tree_parse(&tree, text, size, &start, &errors, &root), -EINVAL);
    CLEANUP_FREE char *said = errors_to_text(&errors);
    assert_has(said, part);
}

static void refuse(const char *text, const char *part)
{
    assert_tree_refused(text, strlen(text), part);
}

static void test_nodes(void **state UNUSED)
{
    CLEANUP_TREE struct tree tree = {0};
    CLEANUP_ERRORS struct errors errors = {0};
    const char *text = "a: 1\nb: [x, 'y']\nc: {d: ~}\n";
    assert_int_equal(tree_parse(&tree, text, strlen(text), &start, &errors, &tree.root), 0);
    assert_int_equal(tree.root->n, 3);
    assert_string_equal(tree_get(tree.root, "a")->text, "1");
    assert_int_equal(tree_get(tree.root, "b")->n, 2);
    assert_false(tree_get(tree.root, "b")->items[1]->plain);
    assert_int_equal(tree_get(tree.root, "b")->items[1]->place.line, 2);
    assert_int_equal(tree_get(tree.root, "b")->items[1]->place.column, 8);
    assert_null(tree_get2(tree.root, "c", "d"));
    assert_null(tree_get2(tree.root, "a", "d"));
    assert_int_equal(tree.root->weight, 11);
}

static void test_empty(void **state UNUSED)
{
    static const char *const texts[] = {"", "\n", "# nothing\n"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_TREE struct tree tree = {0};
        CLEANUP_ERRORS struct errors errors = {0};
        assert_int_equal(
            tree_parse(&tree, texts[i], strlen(texts[i]), &start, &errors, &tree.root), 0);
        assert_null(tree.root);
    }
}

static void test_broken(void **state UNUSED)
{
    refuse("a: [1", "F:2:1: no valid YAML: did not find expected ',' or ']'");
    refuse("a: 1\n b: 2\n", "F:2:3: no valid YAML: mapping values are not allowed");
    refuse("a: 'x\n", "F:2:1: no valid YAML: found unexpected end of stream");
    refuse("a: \tb\n\t- c", "F:2:1: no valid YAML");
    refuse("x: [::]:80\n", "an address with brackets needs quotes");
    refuse("a: \xff\n", "no YAML text: invalid leading UTF-8 octet at byte 3");
    refuse("a: \x01\n", "no YAML text: control characters are not allowed");
    refuse("a: \"b\\0c\"\n", "F:1:4: a NUL character");
    refuse("a: 1\n---\nb: 2\n", "F:2:1: a second document");
    refuse("a: !!int 1\n", "F:1:4: the tag 'tag:yaml.org,2002:int' means nothing here");
    refuse("[a, b]: 1\n", "F:1:1: a key must be a plain text");
    assert_tree_refused("a: 1\0b", 6, "no YAML text");
}

static void test_duplicate_keys(void **state UNUSED)
{
    assert_refused("programs: {p: {command: x, workers: 1, workers: 2}}",
                   "programs.p.workers: this key is there twice");
    assert_refused("programs: {p: {command: x}}\nprograms: {q: {command: x}}",
                   "programs: this key is there twice");
    /* The rest of the file is read all the same. */
    assert_refused("programs: {p: {command: x, workers: 1, workers: 2, silent: 7}}",
                   "programs.p.silent: '7' is wrong");
}

static void test_depth(void **state UNUSED)
{
    char text[201];
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    text[200] = '\0';
    refuse(text, "F:1:33: nested deeper than 32 levels");
}

static void test_too_many_nodes(void **state UNUSED)
{
    CLEANUP_FREE char *text = calloc(TREE_WEIGHT_MAX + 1, 4);
    for (size_t i = 0; i <= TREE_WEIGHT_MAX; i++)
        memcpy(text + 4 * i, "- a\n", 4);
    text[4 * (TREE_WEIGHT_MAX + 1) - 1] = '\0';
    refuse(text, "more than 50000 values");
}

static void test_too_many_keys(void **state UNUSED)
{
    CLEANUP_FREE char *text = calloc(TREE_ENTRIES_MAX + 2, 16);
    size_t n = 0;
    for (size_t i = 0; i <= TREE_ENTRIES_MAX; i++)
        n += (size_t)sprintf(text + n, "k%zu: 1\n", i);
    refuse(text, "F:4097:1: more than 4096 keys in one mapping");
}

static void test_alias_bomb(void **state UNUSED)
{
    char text[2048];
    size_t n = (size_t)sprintf(text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (unsigned i = 1; i < 20; i++) {
        n += (size_t)sprintf(text + n, "a%u: &a%u [", i, i);
        for (unsigned j = 0; j < 10; j++)
            n += (size_t)sprintf(text + n, "%s*a%u", j == 0 ? "" : ", ", i - 1);
        n += (size_t)sprintf(text + n, "]\n");
    }
    refuse(text, "F:5:5: aliases expand to more than 50000 values");
}

static void test_aliases(void **state UNUSED)
{
    refuse("a: &x [*x]\n", "F:1:8: the alias '*x' has no complete anchor '&x' before it");
    refuse("a: *no\n", "the alias '*no' has no complete anchor");
    struct config *config = load_text("programs: {p: {command: &c [x, \"1\"], environment: {A: &a "
                                      "one, B: *a}}, q: {command: *c}}");
    assert_string_equal(config->programs[0]->environment[1], "B=one");
    assert_string_equal(config->programs[1]->command[1], "1");
    (void)config_unref(config);
}

static void test_merge_keys(void **state UNUSED)
{
    struct config *config = load_text(
        "programs:\n"
        "  p: &p {command: x, workers: 3, silent: true}\n"
        "  q: {<<: *p, workers: 4}\n"
        "  r: {workers: 5, <<: [{silent: true}, *p, {silent: false}]}\n");
    assert_int_equal(config->programs[1]->workers, 4);
    assert_true(config->programs[1]->silent);
    assert_int_equal(config->programs[2]->workers, 5);
    assert_true(config->programs[2]->silent);
    assert_string_equal(config->programs[2]->command[0], "x");
    (void)config_unref(config);
    config = load_text("programs:\n"
                       "  p: {command: x, environment: &e {A: 1, B: 2}}\n"
                       "  q: {command: x, environment: {<<: *e, A: 3}}\n");
    assert_string_equal(config->programs[1]->environment[0], "A=3");
    assert_string_equal(config->programs[1]->environment[1], "B=2");
    assert_null(config->programs[1]->environment[2]);
    (void)config_unref(config);
    refuse("a: {<<: 3}\n", "'<<' merges mappings");
    refuse("a: {<<: {b: 1}, <<: {c: 1}}\n", "the key '<<' is there twice");
}

static void test_set(void **state UNUSED)
{
    char *const sets[] = {(char *)(uintptr_t) "programs.p.workers=8",
                          (char *)(uintptr_t) "log.level=debug",
                          (char *)(uintptr_t) "programs.my.app.command=[a, b]",
                          (char *)(uintptr_t) "programs.my.app.silent=on",
                          (char *)(uintptr_t) "programs.p.priority=",
                          NULL};
    const struct config_source source = {
        .text = "programs: {p: &p {command: x, priority: 5}, q: *p, my.app: {command: z}}",
        .sets = sets};
    struct config *config = NULL;
    CLEANUP_FREE char *errors = NULL;
    int r = config_load(&source, &config, &errors);
    if (r < 0)
        print_error("%s\n", errors);
    assert_int_equal(r, 0);
    assert_int_equal(config->programs[0]->workers, 8);
    /* An alias shares what it names, a set reaches only the one it names. */
    assert_int_equal(config->programs[1]->workers, 1);
    assert_int_equal(config->programs[1]->priority, 5);
    assert_int_equal(config->programs[0]->priority, 999);
    assert_int_equal(config->log.level, LOG_LEVEL_DEBUG);
    assert_string_equal(config->programs[2]->command[1], "b");
    assert_true(config->programs[2]->silent);
    (void)config_unref(config);
}

static void assert_set_refused(const char *set, const char *part)
{
    char *const sets[] = {(char *)(uintptr_t)set, NULL};
    const struct config_source source = {.text = "programs: {p: {command: x}}", .sets = sets};
    CLEANUP_FREE char *errors = refuse_source(&source, -EINVAL);
    assert_has(errors, part);
}

static void test_wrong_sets(void **state UNUSED)
{
    assert_set_refused("programs.p.workers=0",
                       "--set programs.p.workers=0: programs.p.workers: '0' is out of range");
    assert_set_refused(
        "programs.p.wrokers=2",
        "--set programs.p.wrokers=2: programs.p.wrokers: unknown key (did you mean 'workers'?)");
    assert_set_refused("log.levle=debug", "log.levle: unknown key (did you mean 'level'?)");
    assert_set_refused("log", "--set log: expected KEY=VALUE");
    assert_set_refused("log..level=x", "expected keys with single dots");
    assert_set_refused("=x", "expected keys with single dots");
    assert_set_refused("programs.p.command.x=1", "what should hold it is no mapping");
    assert_set_refused("programs.p.command=[", "--set programs.p.command=[: no valid YAML");
    assert_set_refused("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h=1",
                       "expected keys with");
}

static void assert_file(const char *path, int error, const char *part)
{
    const struct config_source source = {.path = path};
    CLEANUP_FREE char *errors = refuse_source(&source, error);
    assert_has(errors, path);
    assert_has(errors, part);
}

static void test_files(void **state UNUSED)
{
    char path[100];
    (void)snprintf(path, sizeof(path), "%s/fifo", directory);
    assert_file("/nonexistent/reloader.yaml", -ENOENT,
                "cannot read the configuration: No such file or directory");
    assert_file(directory, -EISDIR, "this is a directory, expected a file");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_file(path, -ENOTSUP, "this is no regular file");
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof(path), "%s/big", directory);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), 1 << 30), 0);
    assert_int_equal(fclose(file), 0);
    assert_file(path, -EFBIG, "larger than 1 MiB");
    assert_int_equal(unlink(path), 0);
}

static int setup(void **state UNUSED)
{
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_duplicate_keys),
        cmocka_unit_test(test_too_many_nodes),
        cmocka_unit_test(test_alias_bomb),
        cmocka_unit_test(test_too_many_keys),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_merge_keys),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_wrong_sets),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
