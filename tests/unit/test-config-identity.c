/* The keys that say who processes are and what they may use. Users and groups of numbers, or that every system has. */
#include "config-test.h"

#include "config/config.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct config_identity *identity_of(const struct config *config)
{
    return &config->programs[0]->identity;
}

static char *print(const struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_int_equal(config_print(config, stream), 0);
    assert_int_equal(fclose(stream), 0);
    return text;
}

/* Loads, and what is printed of it loads to the same. */
static struct config *load_twice(const char *keys)
{
    struct config *config = load_program(keys);
    CLEANUP_FREE char *once = print(config);
    CLEANUP_CONFIG struct config *again = load_text(once);
    CLEANUP_FREE char *twice = print(again);
    assert_string_equal(once, twice);
    return config;
}

static void test_unset(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_twice("workers: 1");
    const struct config_identity *identity = identity_of(config);
    assert_false(identity->account.groups_set);
    assert_false(identity->umask.set || identity->nice.set || identity->oom_score_adjust.set ||
                 identity->capabilities.set || identity->no_new_privileges);
    assert_int_equal(identity->affinity.kind, CONFIG_AFFINITY_UNSET);
    for (size_t i = 0; i < RLIM_NLIMITS; i++)
        assert_false(identity->limits[i].set);
}

static void test_account(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_twice("user: root");
    const struct config_account *account = &identity_of(config)->account;
    assert_true(account->user.set && account->group.set && account->groups_set);
    assert_int_equal(account->user.id, 0);
    assert_int_equal(account->group.id, 0);
    assert_string_equal(account->name, "root");
    assert_string_equal(account->home, "/root");
    assert_int_equal(account->groups[0], 0);

    CLEANUP_CONFIG struct config *numbers = load_twice(
        "user: 123456, group: 654321, supplementary_groups: [7, root, 7]");
    account = &identity_of(numbers)->account;
    assert_int_equal(account->user.id, 123456);
    assert_int_equal(account->group.id, 654321);
    assert_null(account->name);
    assert_int_equal(account->n_groups, 3);
    assert_int_equal(account->groups[0], 654321);
    assert_int_equal(account->groups[1], 7);
    assert_int_equal(account->groups[2], 0);

    CLEANUP_CONFIG struct config *group = load_twice("group: root");
    account = &identity_of(group)->account;
    assert_true(!account->user.set && account->group.set && account->groups_set);
    assert_int_equal(account->n_groups, 1);
}

static void test_wrong_accounts(void **state UNUSED)
{
    assert_program_refused("user: no-such-user", "programs.p.user: 'no-such-user' is wrong here, "
                                                 "expected the name or number of a user");
    assert_program_refused("group: no-such-group", "programs.p.group: 'no-such-group' is wrong");
    assert_program_refused("supplementary_groups: [root, no-such-group]",
                           "programs.p.supplementary_groups: 'no-such-group' is wrong here");
    assert_program_refused("user: 123456",
                           "programs.p.user: nobody knows user 123456, so his group "
                           "is not known either: write it as 'group'");
    assert_program_refused("user: 4294967295, group: 1", "'4294967295' is out of range");
    assert_program_refused("user: 'a:b'", "programs.p.user: 'a:b' is wrong here");
    assert_program_refused("user: ''", "programs.p.user: '' is wrong here");
    assert_program_refused("user: [root]", "programs.p.user: a list is wrong here");
    assert_refused("user: 123456\nprograms: {p: {command: x}}", "name one that /etc/passwd has");
    assert_refused("user: no-such-user\nprograms: {p: {command: x}}",
                   "user: 'no-such-user' is wrong");
    /* All errors at once, although somebody had to be asked. */
    assert_program_refused("user: no-such-user, workers: 0", "programs.p.workers: '0' is out of");
    assert_program_refused("uid: 3", "called 'user' here");
    assert_program_refused("oom_score_adj: 3", "called 'oom_score_adjust' here");
    assert_refused("minfds: 3", "called 'nofile' in 'limits' here");
}

static void test_numbers(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_twice(
        "umask: '027', nice: -20, oom_score_adjust: -1000, no_new_privileges: true");
    const struct config_identity *identity = identity_of(config);
    assert_true(identity->umask.set && identity->nice.set && identity->oom_score_adjust.set);
    assert_int_equal(identity->umask.mask, 027);
    assert_int_equal(identity->nice.value, -20);
    assert_int_equal(identity->oom_score_adjust.value, -1000);
    assert_true(identity->no_new_privileges);
    CLEANUP_CONFIG struct config *others = load_twice("nice: 19, oom_score_adjust: 1000, umask: 0");
    assert_int_equal(identity_of(others)->nice.value, 19);
    assert_int_equal(identity_of(others)->oom_score_adjust.value, 1000);
    assert_true(identity_of(others)->umask.set && identity_of(others)->umask.mask == 0);

    assert_program_refused("nice: 20", "programs.p.nice: '20' is out of range, expected a number "
                                       "from -20 to 19");
    assert_program_refused("nice: -21", "'-21' is out of range");
    assert_program_refused("nice: --1", "'--1' is wrong here");
    assert_program_refused("nice: high", "'high' is wrong here");
    assert_program_refused("oom_score_adjust: 1001", "expected a number from -1000 to 1000");
    assert_program_refused("umask: 8", "programs.p.umask: '8' is wrong here");
    assert_program_refused("umask: '1777'", "out of range");
    assert_program_refused("no_new_privileges: perhaps", "expected true or false");
}

static void assert_limit(const struct config *config, int resource, rlim_t soft, rlim_t hard)
{
    const struct config_limit *limit = &identity_of(config)->limits[resource];
    assert_true(limit->set);
    assert_int_equal(limit->soft, soft);
    assert_int_equal(limit->hard, hard);
}

static void test_limits(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_twice(
        "limits: {nofile: '1024:4096', nproc: 64, core: unlimited, as: 2G, data: 1M, stack: 8M, "
        "rss: 5M, memlock: 64K, fsize: '1M:infinity', cpu: 1m, rttime: 200ms, rtprio: 99, nice: "
        "40, "
        "locks: 3, msgqueue: 819200, sigpending: 0}");
    assert_limit(config, RLIMIT_NOFILE, 1024, 4096);
    assert_limit(config, RLIMIT_NPROC, 64, 64);
    assert_limit(config, RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY);
    assert_limit(config, RLIMIT_AS, (rlim_t)2 << 30, (rlim_t)2 << 30);
    assert_limit(config, RLIMIT_DATA, 1 << 20, 1 << 20);
    assert_limit(config, RLIMIT_STACK, 8 << 20, 8 << 20);
    assert_limit(config, RLIMIT_RSS, 5 << 20, 5 << 20);
    assert_limit(config, RLIMIT_MEMLOCK, 65536, 65536);
    assert_limit(config, RLIMIT_FSIZE, 1 << 20, RLIM_INFINITY);
    assert_limit(config, RLIMIT_CPU, 60, 60);
    assert_limit(config, RLIMIT_RTTIME, 200000, 200000);
    assert_limit(config, RLIMIT_RTPRIO, 99, 99);
    assert_limit(config, RLIMIT_NICE, 40, 40);
    assert_limit(config, RLIMIT_LOCKS, 3, 3);
    assert_limit(config, RLIMIT_MSGQUEUE, 819200, 819200);
    assert_limit(config, RLIMIT_SIGPENDING, 0, 0);
}

static void test_wrong_limits(void **state UNUSED)
{
    assert_program_refused("limits: {nofile: '4096:1024'}",
                           "programs.p.limits.nofile: '4096:1024' is out of range, expected a "
                           "number up to 2147483647, or unlimited; or two of them, SOFT:HARD");
    assert_program_refused("limits: {nofile: 1K}", "'1K' is wrong here");
    assert_program_refused("limits: {nofile: -1}", "'-1' is out of range");
    assert_program_refused("limits: {nofile: '1:'}", "'1:' is wrong here");
    assert_program_refused("limits: {nofile: '1:2:3'}", "'1:2:3' is wrong here");
    assert_program_refused("limits: {nice: 41}",
                           "'41' is out of range, expected a number up to 40");
    assert_program_refused("limits: {as: lots}", "'lots' is wrong here, expected a size");
    assert_program_refused("limits: {cpu: 60}", "expected a duration of whole seconds");
    assert_program_refused("limits: {cpu: 1500ms}", "'1500ms' is out of range");
    assert_program_refused("limits: {nofiles: 1}", "(did you mean 'nofile'?)");
    assert_program_refused("limits: 3", "'3' is wrong here, expected keys and values");
    assert_refused("limits: {core: 0}", "limits.core: unknown key: it belongs into "
                                        "programs.NAME.limits");
}

static void test_cpus(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *list = load_twice("cpu_affinity: [0, 2-4, 1023]");
    const struct config_affinity *affinity = &identity_of(list)->affinity;
    assert_int_equal(affinity->kind, CONFIG_AFFINITY_LIST);
    assert_int_equal(CPU_COUNT(&affinity->cpus), 5);
    assert_true(CPU_ISSET(0, &affinity->cpus) && CPU_ISSET(3, &affinity->cpus) &&
                CPU_ISSET(1023, &affinity->cpus));
    CLEANUP_CONFIG struct config *one = load_twice("cpu_affinity: 3");
    assert_int_equal(CPU_COUNT(&identity_of(one)->affinity.cpus), 1);
    CLEANUP_CONFIG struct config *each = load_twice("cpu_affinity: per_worker");
    assert_int_equal(identity_of(each)->affinity.kind, CONFIG_AFFINITY_PER_WORKER);

    assert_program_refused("cpu_affinity: []",
                           "programs.p.cpu_affinity: empty, expected per_worker");
    assert_program_refused("cpu_affinity: [1024]",
                           "'1024' is out of range, expected per_worker, or "
                           "CPUs, as [0, 1]");
    assert_program_refused("cpu_affinity: [3-1]", "'3-1' is out of range");
    assert_program_refused("cpu_affinity: [a]", "'a' is wrong here");
    assert_program_refused("cpu_affinity: {a: b}", "a mapping is wrong here");
}

static void test_capabilities(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_twice(
        "capabilities: [net_bind_service, CAP_KILL, checkpoint_restore]");
    const struct config_capabilities *capabilities = &identity_of(config)->capabilities;
    assert_true(capabilities->set);
    assert_int_equal(capabilities->mask, UINT64_C(1) << CAP_NET_BIND_SERVICE |
                                             UINT64_C(1) << CAP_KILL | UINT64_C(1) << 40);
    CLEANUP_CONFIG struct config *none = load_twice("capabilities: []");
    assert_true(identity_of(none)->capabilities.set);
    assert_int_equal(identity_of(none)->capabilities.mask, 0);
    assert_program_refused("capabilities: [net_bind]", "programs.p.capabilities: 'net_bind' is "
                                                       "wrong here, expected a capability");
}

/* What all programs have that say nothing else. */
static void test_from_the_top(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *config = load_text(
        "umask: '077'\ndirectory: /usr\n"
        "environment: {A: all, B: '%(process_num)s', C: '%(here)s'}\n"
        "programs:\n"
        "  one: {command: x}\n"
        "  two: {command: x, umask: '022', directory: /tmp, environment: {B: own, D: too}}\n");
    const struct config_program *one = config->programs[0], *two = config->programs[1];
    assert_int_equal(one->identity.umask.mask, 077);
    assert_int_equal(two->identity.umask.mask, 022);
    assert_string_equal(one->directory, "/usr");
    assert_string_equal(two->directory, "/tmp");
    assert_string_equal(one->environment[0], "A=all");
    assert_string_equal(one->environment[1], "B=%(process_num)s");
    assert_string_equal(one->environment[2], "C=%(here)s");
    assert_null(one->environment[3]);
    assert_string_equal(two->environment[0], "A=all");
    assert_string_equal(two->environment[1], "C=%(here)s");
    assert_string_equal(two->environment[2], "B=own");
    assert_string_equal(two->environment[3], "D=too");
    assert_null(two->environment[4]);

    CLEANUP_FREE char *once = print(config);
    CLEANUP_CONFIG struct config *again = load_text(once);
    CLEANUP_FREE char *twice = print(again);
    assert_string_equal(once, twice);

    assert_refused("environment: {A: '%(nope)s'}\nprograms: {p: {command: x}}", "environment.A: ");
    assert_refused("environment: {A: '%(fd:web)s'}\nprograms: {p: {command: x, listen: 8080}}",
                   "environment.A: ");
    assert_refused("directory: /nonexistent\nprograms: {p: {command: x}}",
                   "cannot work in '/nonexistent'");
    assert_refused("umask: x\nprograms: {p: {command: x}}", "umask: 'x' is wrong here");
}

/* Who checks a configuration need not be who will run it. */
static void test_privileges(void **state UNUSED)
{
    CLEANUP_CONFIG struct config *plain = load_program("nice: 3");
    CLEANUP_CONFIG struct config *both = load_text(
        "user: 0\nprograms: {a: {command: x}, b: {command: x, user: 123456, group: 1}}");
    char *errors = NULL;
    assert_int_equal(config_check_privileges(plain, &errors), 0);
    if (geteuid() == 0) {
        assert_int_equal(config_check_privileges(both, &errors), 0);
        CLEANUP_CONFIG struct config *gives_up = load_text(
            "user: nobody\nprograms: {a: {command: x}, b: {command: x, user: 123456, group: 1}, "
            "c: {command: x, user: nobody}}");
        assert_int_equal(config_check_privileges(gives_up, &errors), -EPERM);
        assert_has(errors,
                   "programs.b.user: with 'user' at the top of the file the master is user");
        assert_null(strstr(errors, "programs.c"));
    } else {
        assert_int_equal(config_check_privileges(both, &errors), -EPERM);
        assert_has(errors, "programs.b.user: only root can start workers as somebody else");
        assert_has(errors, "user: only root can become somebody else");
        assert_null(strstr(errors, "programs.a"));
    }
    free(errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unset),          cmocka_unit_test(test_account),
        cmocka_unit_test(test_wrong_accounts), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_wrong_limits),
        cmocka_unit_test(test_cpus),           cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_from_the_top),   cmocka_unit_test(test_privileges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
