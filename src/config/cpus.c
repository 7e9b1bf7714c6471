/* How many workers `workers: auto` means: as many as CPU time is there for. */
#include "config/values.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
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

/* cpu.max is "QUOTA PERIOD" or "max PERIOD"; the root has none. */
static unsigned read_limit(const char *cgroup)
{
    CLEANUP_FREE char *path = string_format(CGROUP_ROOT "%s/cpu.max", cgroup), *text = NULL;
    size_t size;
    uint64_t quota, period;
    if (!path || fd_read_file(path, 256, &text, &size) < 0 ||
        sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || period == 0)
        return UINT_MAX;
    uint64_t cpus = quota / period + (quota % period > 0);
    return cpus == 0 ? 1 : (unsigned)MIN(cpus, (uint64_t)CPUS_MAX);
}

/* The path of our own cgroup: the line "0::/…". */
static char *find_cgroup(void)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    if (fd_read_file("/proc/self/cgroup", 65536, &text, &size) < 0)
        return NULL;
    const char *line = string_starts_with(text, "0::/") ? text : strstr(text, "\n0::/");
    if (!line)
        return NULL;
    line = strchr(line, '/');
    return strndup(line, strcspn(line, "\n"));
}

unsigned cpus_available(void)
{
    unsigned cpus = count_allowed();
    CLEANUP_FREE char *cgroup = find_cgroup();
    while (cgroup && *cgroup != '\0') {
        cpus = MIN(cpus, read_limit(cgroup));
        *strrchr(cgroup, '/') = '\0';
    }
    /* In a container the root of what we see is somebody's cgroup as well. */
    return MIN(cpus, read_limit(""));
}
