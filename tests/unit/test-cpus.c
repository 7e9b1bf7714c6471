/* cpus.c on a tree of files that looks like /sys/fs/cgroup. */
#include "config/cpus.h"

#include "base/strv.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[] = "/tmp/reloader-cpus-XXXXXX";

static int set_up(void **state UNUSED)
{
    strcpy(root + sizeof(root) - 7, "XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    CLEANUP_FREE char *command = string_format("rm -r %s", root);
    return system(command);
}

static void put(const char *path, const char *text)
{
    CLEANUP_FREE char *whole = string_format("%s%s", root, path);
    for (char *slash = whole + strlen(root); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        (void)mkdir(whole, 0700);
        *slash = '/';
    }
    FILE *file = fopen(whole, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect(const char *cgroups, unsigned cpus)
{
    CLEANUP_FREE char *copy = strdup(cgroups);
    assert_int_equal(cpus_limit(root, copy), cpus);
}

static void test_unified(void **state UNUSED)
{
    expect("0::/\n", UINT_MAX);
    put("/pod/app/cpu.max", "max 100000\n");
    expect("0::/pod/app\n", UINT_MAX);
    put("/pod/app/cpu.max", "250000 100000\n");
    expect("0::/pod/app\n", 3);
    put("/pod/app/cpu.max", "10000 100000\n");
    expect("0::/pod/app\n", 1);
    put("/pod/app/cpu.max", "400000 100000\n");
    put("/pod/cpu.max", "150000 100000\n");
    expect("0::/pod/app\n", 2);
    expect("0::/pod/app/further/down\n", 2);
    expect("0::/elsewhere\n", UINT_MAX);
    put("/pod/app/cpu.max", "nonsense\n");
    expect("0::/pod/app\n", 2);
    put("/pod/app/cpu.max", "5 0\n");
    expect("0::/pod/app\n", 2);
}

/* What is mounted there is a cgroup of a host whose paths we do not see. */
static void test_root_of_a_container(void **state UNUSED)
{
    put("/cpu.max", "200000 100000\n");
    expect("0::/\n", 2);
    expect("0::/kubepods/pod7/x\n", 2);
    expect("0::/../other\n", 2);
    expect("", UINT_MAX);
    expect("0\n0:\n::\n", 2);
}

static void test_legacy(void **state UNUSED)
{
    put("/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
    put("/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    expect("4:memory:/a\n3:cpu,cpuacct:/a\n", UINT_MAX);
    put("/cpu,cpuacct/a/cpu.cfs_quota_us", "120000\n");
    expect("4:memory:/a\n3:cpu,cpuacct:/a\n0::/\n", 2);
    expect("4:memory:/a\n3:cpuacct:/a\n0::/\n", UINT_MAX);
    put("/cpu/cpu.cfs_quota_us", "50000\n");
    put("/cpu/cpu.cfs_period_us", "50000\n");
    expect("1:cpu:/b/c\n", 1);
}

/* Both kinds at once: the newer one beside, without the controller or with it. */
static void test_hybrid(void **state UNUSED)
{
    put("/cpu/a/cpu.cfs_quota_us", "300000\n");
    put("/cpu/a/cpu.cfs_period_us", "100000\n");
    expect("1:cpu:/a\n0::/x\n", 3);
    put("/unified/x/cpu.max", "200000 100000\n");
    expect("1:cpu:/a\n0::/x\n", 2);
}

static void test_this_machine(void **state UNUSED)
{
    unsigned cpus = cpus_available();
    assert_in_range(cpus, 1, 8192);
}

#define A_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(test_unified), A_TEST(test_root_of_a_container), A_TEST(test_legacy),
        A_TEST(test_hybrid),  A_TEST(test_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
