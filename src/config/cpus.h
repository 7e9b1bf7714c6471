/* cpus.h - how many CPUs' time there is for us. */
#pragma once

/* The least of the CPUs we may run on and what our cgroups allow, rounded up; at least 1. */
unsigned cpus_available(void);

/*
 * What the CPU limits of cgroups come to, of both kinds (v2 cpu.max, v1 cpu.cfs_quota_us): the least of our own and all above
 * them. `root` is where they are mounted, `cgroups` is like /proc/self/cgroup, and is changed. UINT_MAX: no limit.
 */
unsigned cpus_limit(const char *root, char *cgroups);
