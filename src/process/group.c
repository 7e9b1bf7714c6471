/*
 * Whoever appears during the pass has a higher number than its parent (but for the rare moment at which numbers begin anew), so a parent that
 * is gone when its turn comes has its children still ahead.
 */
#include "process/group.h"

#include "base/fd.h"
#include "base/parse.h"
#include "process/stat.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GENERATIONS_MAX 64

/* The queries by group, so that a pass over many processes stays cheap; they are filled in when the pass is complete. */
struct index {
    struct group_query *query;
    pid_t group, member;
    size_t n_members;
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

/* Of others: it has gone meanwhile. */
static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

int group_scan(struct group_query *queries, size_t n,
               void (*child)(pid_t pid, bool dead, void *userdata), void *userdata)
{
    CLEANUP(index_freep) struct index *index = make_index(queries, n);
    CLEANUP(directory_closep) DIR *proc = opendir("/proc");
    struct process_stat process;
    uint64_t pid;

    if (!index)
        return -ENOMEM;
    if (!proc)
        return -errno;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(proc)); errno = 0) {
        if (parse_unsigned(entry->d_name, 1, INT32_MAX, &pid) < 0)
            continue;
        int r = process_stat_read(dirfd(proc), (pid_t)pid, &process);
        if (is_shortage(r))
            return r;
        if (r < 0)
            continue;
        struct index *found = find_group(index, n, process.group);
        if (found && !process.dead && found->n_members++ == 0)
            found->member = process.pid;
        if (child && process.parent == getpid() && !find_group(index, n, process.pid))
            child(process.pid, process.dead, userdata);
    }
    if (errno != 0)
        return -errno;
    for (size_t i = 0; i < n; i++) {
        index[i].query->occupied = index[i].n_members > 0;
        index[i].query->member = index[i].member;
        index[i].query->n_members = index[i].n_members;
    }
    return 0;
}

size_t group_members(pid_t group, pid_t *members, size_t max)
{
    CLEANUP(directory_closep) DIR *proc = opendir("/proc");
    struct process_stat process;
    uint64_t pid;
    size_t n = 0;

    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        if (parse_unsigned(entry->d_name, 1, INT32_MAX, &pid) < 0 ||
            process_stat_read(dirfd(proc), (pid_t)pid, &process) < 0 || process.group != group ||
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
    struct process_stat process;
    if (leader <= 1 || pid <= 1)
        return false;
    CLEANUP_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = proc < 0 ? -errno : process_stat_read(proc, pid, &process);
    if (is_shortage(r))
        return getpgid(pid) == leader;
    if (r < 0 || process.dead)
        return false;
    if (process.group == leader || pid == leader)
        return true;
    for (unsigned i = 0; i < GENERATIONS_MAX && process.parent > 1; i++) {
        if (process.parent == leader)
            return true;
        if (process_stat_read(proc, process.parent, &process) < 0)
            return false;
    }
    return false;
}
