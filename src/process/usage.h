/*
 * usage.h - what a process uses, as /proc tells.
 *
 * All is asked of a process_fd, which is of its directory in /proc and means that very process: once it has left, whoever
 * gets its pid next is never taken for it. Errors are -errno: -ESRCH when it is gone (or hidden from us), -EACCES for what only
 * its own user may read, -EBADMSG for what cannot be understood.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Resident memory in bytes, what it shares with others included. */
int process_memory(pid_t pid, uint64_t *ret);

/* A process_fd, to be closed by the caller, or -errno. */
int process_open(pid_t pid);

struct process_usage {
    pid_t parent;
    uint64_t
        start_usec; /* since the system was booted, as CLOCK_BOOTTIME counts; with the pid it names a process */
    uint64_t cpu_usec; /* user and system time of all its threads so far; not of its children */
    uint64_t memory;   /* as process_memory() */
};
int process_usage(int process_fd, struct process_usage *ret);

/* Resident memory in bytes, of shared pages its part alone. The kernel walks all its pages for that. */
int process_pss(int process_fd, uint64_t *ret);

/*
 * How many descriptors it has, and of those the sockets of which holds(inode, userdata). -EFBIG when they are more than a
 * process can reasonably have; -EXDEV when its network is not ours, so that its sockets mean nothing to us.
 */
#define PROCESS_FDS_MAX (1u << 20)
struct process_fds {
    unsigned all, counted;
};
int process_count_fds(int process_fd, bool (*holds)(uint32_t inode, void *userdata), void *userdata,
                      struct process_fds *ret);
