/*
 * One line of /proc/PID/stat says all that is asked: state, parent, group, number of threads. It is "PID (NAME) S PPID PGRP …",
 * and the name is the process's own and may hold blanks and parentheses, so reading begins behind the last ')'.
 *
 * A process whose main thread has ended shows as a zombie while its other threads work on: it is dead only if it is a zombie of
 * one thread. Whoever appears during the pass has a higher number than its parent (but for the rare moment
 * at which numbers begin anew), so a parent that is gone when its turn comes has its children still ahead.
 */
#include "process/group.h"

#include "base/fd.h"
#include "base/parse.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GENERATIONS_MAX 64
#define STAT_SIZE       512 /* far behind the fields of interest */

struct process {
    pid_t pid, parent, group;
    bool dead;
};

static int parse_stat(const char *text, pid_t pid, struct process *ret)
{
    const char *name_end = strrchr(text, ')');
    char state;
    int parent, group;
    long threads;

    if (!name_end || sscanf(name_end + 1,
                            " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld",
                            &state, &parent, &group, &threads) != 4)
        return -EBADMSG;
    *ret = (struct process){.pid = pid,
                            .parent = parent,
                            .group = group,
                            .dead = state == 'X' || (state == 'Z' && threads <= 1)};
    return 0;
}

/* -ENOENT or -ESRCH if it has gone. */
static int read_process(int proc, pid_t pid, struct process *ret)
{
    char path[32], text[STAT_SIZE];

    (void)snprintf(path, sizeof(path), "%d/stat", pid);
    CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return parse_stat(text, pid, ret);
}

/* The queries by group, so that a pass over many processes stays cheap; `occupied` is set when the pass is complete. */
struct index {
    struct group_query *query;
    pid_t group;
    bool occupied;
};

static int compare_groups(const void *a, const void *b)
{
    const struct index *x = a, *y = b;
    return (x->group > y->group) - (x->group < y->group);
}

static struct index *find_group(struct index *index, size_t n, pid_t group)
{
    struct index key = {.group = group};
    return n == 0 ? NULL : bsearch(&key, index, n, sizeof(*index), compare_groups);
}

static struct index *make_index(struct group_query *queries, size_t n)
{
    struct index *index = calloc(n + 1, sizeof(*index));
    if (!index)
        return NULL;
    for (size_t i = 0; i < n; i++)
        index[i] = (struct index){.query = &queries[i], .group = queries[i].group};
    qsort(index, n, sizeof(*index), compare_groups);
    return index;
}

static void index_freep(struct index **index)
{
    free(*index);
}

static void directory_closep(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

int group_scan(struct group_query *queries, size_t n,
               void (*child)(pid_t pid, bool dead, void *userdata), void *userdata)
{
    CLEANUP(index_freep) struct index *index = make_index(queries, n);
    CLEANUP(directory_closep) DIR *proc = opendir("/proc");
    struct process process;
    uint64_t pid;

    if (!index)
        return -ENOMEM;
    if (!proc)
        return -errno;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(proc)); errno = 0) {
        if (parse_unsigned(entry->d_name, 1, INT32_MAX, &pid) < 0 ||
            read_process(dirfd(proc), (pid_t)pid, &process) < 0)
            continue;
        struct index *found = find_group(index, n, process.group);
        if (found && !process.dead)
            found->occupied = true;
        if (child && process.parent == getpid() && !find_group(index, n, process.pid))
            child(process.pid, process.dead, userdata);
    }
    if (errno != 0)
        return -errno;
    for (size_t i = 0; i < n; i++)
        index[i].query->occupied = index[i].occupied;
    return 0;
}

size_t group_members(pid_t group, pid_t *members, size_t max)
{
    CLEANUP(directory_closep) DIR *proc = opendir("/proc");
    struct process process;
    uint64_t pid;
    size_t n = 0;

    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        if (parse_unsigned(entry->d_name, 1, INT32_MAX, &pid) < 0 ||
            read_process(dirfd(proc), (pid_t)pid, &process) < 0 || process.group != group ||
            process.dead)
            continue;
        if (n < max)
            members[n] = process.pid;
        n++;
    }
    return n;
}

bool group_has_member(pid_t leader, pid_t pid)
{
    struct process process;
    CLEANUP_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (proc < 0 || leader <= 1 || pid <= 1 || read_process(proc, pid, &process) < 0 ||
        process.dead)
        return false;
    if (process.group == leader || pid == leader)
        return true;
    for (unsigned i = 0; i < GENERATIONS_MAX && process.parent > 1; i++) {
        if (process.parent == leader)
            return true;
        if (read_process(proc, process.parent, &process) < 0)
            return false;
    }
    return false;
}
