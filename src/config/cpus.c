/* How many workers `workers: auto` means: as many as CPU time is there for. */
#include "config/cpus.h"

#include "base/fd.h"
#include "base/strv.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CPUS_MAX    8192

static unsigned count_allowed(void)
{
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    if (!set)
        return 1;
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    unsigned count = sched_getaffinity(0, size, set) < 0 ? 1 : (unsigned)CPU_COUNT_S(size, set);
    CPU_FREE(set);
    return MAX(count, 1u);
}

static char *read_small(const char *cgroup, const char *name)
{
    CLEANUP_FREE char *path = string_format("%s/%s", cgroup, name);
    char *text;
    size_t size;
    return path && fd_read_file(path, 256, &text, &size) == 0 ? text : NULL;
}

static unsigned divide(uint64_t quota, uint64_t period)
{
    if (period == 0)
        return UINT_MAX;
    uint64_t cpus = quota / period + (quota % period > 0);
    return (unsigned)MIN(MAX(cpus, (uint64_t)1), (uint64_t)CPUS_MAX);
}

/* cpu.max is "QUOTA PERIOD" or "max PERIOD". The root has none. */
static unsigned read_unified(const char *cgroup)
{
    CLEANUP_FREE char *text = read_small(cgroup, "cpu.max");
    uint64_t quota, period;
    if (!text || sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2)
        return UINT_MAX;
    return divide(quota, period);
}

/* A quota of -1 is none. */
static unsigned read_legacy(const char *cgroup)
{
    CLEANUP_FREE char *quota_text = read_small(cgroup, "cpu.cfs_quota_us");
    CLEANUP_FREE char *period_text = read_small(cgroup, "cpu.cfs_period_us");
    int64_t quota;
    uint64_t period;
    if (!quota_text || !period_text || sscanf(quota_text, "%" SCNd64, &quota) != 1 || quota <= 0 ||
        sscanf(period_text, "%" SCNu64, &period) != 1)
        return UINT_MAX;
    return divide((uint64_t)quota, period);
}

/*
 * The least of a cgroup and all above it. In a container the path may be that on the host, which is not there; and the root of what
 * we see is somebody's cgroup as well.
 */
static unsigned look_upwards(const char *root, const char *hierarchy, const char *path,
                             unsigned (*read_limit)(const char *cgroup))
{
    CLEANUP_FREE char *cgroup = string_format("%s%s%s", root, hierarchy, path);
    unsigned cpus = UINT_MAX;
    if (!cgroup)
        return cpus;
    size_t shortest = strlen(root) + strlen(hierarchy);
    for (;;) {
        cpus = MIN(cpus, read_limit(cgroup));
        char *slash = strrchr(cgroup + shortest, '/');
        if (!slash)
            return cpus;
        *slash = '\0';
    }
}

static bool has_controller(const char *controllers, const char *wanted)
{
    size_t length = strlen(wanted);
    for (const char *at = controllers; *at != '\0'; at += *at == ',') {
        size_t n = strcspn(at, ",");
        if (n == length && memcmp(at, wanted, n) == 0)
            return true;
        at += n;
    }
    return false;
}

/* "0::/path" of the unified hierarchy, "7:cpu,cpuacct:/path" of one of the older kind. Changes the line. */
static unsigned look_at_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return UINT_MAX;
    *controllers++ = '\0';
    *path++ = '\0';
    if (*controllers == '\0') {
        unsigned alone = look_upwards(root, "", path, read_unified);
        unsigned hybrid = look_upwards(root, "/unified", path, read_unified);
        return MIN(alone, hybrid);
    }
    if (!has_controller(controllers, "cpu"))
        return UINT_MAX;
    CLEANUP_FREE char *joint = string_format("/%s", controllers);
    unsigned cpus = look_upwards(root, "/cpu", path, read_legacy);
    return joint ? MIN(cpus, look_upwards(root, joint, path, read_legacy)) : cpus;
}

unsigned cpus_limit(const char *root, char *cgroups)
{
    unsigned cpus = UINT_MAX;
    char *rest = NULL;
    for (char *line = strtok_r(cgroups, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        cpus = MIN(cpus, look_at_line(root, line));
    return cpus;
}

unsigned cpus_available(void)
{
    CLEANUP_FREE char *cgroups = NULL;
    size_t size;
    unsigned cpus = count_allowed();
    if (fd_read_file("/proc/self/cgroup", 65536, &cgroups, &size) == 0)
        cpus = MIN(cpus, cpus_limit(CGROUP_ROOT, cgroups));
    return cpus;
}
