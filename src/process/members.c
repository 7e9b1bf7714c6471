/* The whole of /proc is kept for a moment, sorted by pid: whose a process is shows in the chain of its parents, which may come in any order. */
#include "process/members.h"

#include "base/macros.h"
#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define GENERATIONS_MAX 64
#define NOBODY          SIZE_MAX

struct table {
    struct process_stat *all;
    size_t n, allocated;
};

static void table_clear(struct table *table)
{
    free(table->all);
}

static int compare_pids(const void *a, const void *b)
{
    const struct process_stat *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->leader != y->leader)
        return x->leader > y->leader ? 1 : -1;
    return compare_pids(&x->stat, &y->stat);
}

static int add(struct table *table, const struct process_stat *process)
{
    if (table->n == table->allocated) {
        size_t wanted = MAX(table->allocated * 2, (size_t)256);
        struct process_stat *larger = reallocarray(table->all, wanted, sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        table->all = larger;
        table->allocated = wanted;
    }
    table->all[table->n++] = *process;
    return 0;
}

static void directory_closep(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

static int read_table(struct table *table)
{
    CLEANUP(directory_closep) DIR *proc = opendir("/proc");
    struct process_stat process;
    uint64_t pid;
    int r = 0;
    if (!proc)
        return -errno;
    errno = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(proc)); errno = 0)
        if (parse_unsigned(entry->d_name, 1, INT32_MAX, &pid) == 0 &&
            process_stat_read(dirfd(proc), (pid_t)pid, &process) == 0)
            r = add(table, &process);
    if (r == 0 && errno != 0)
        r = -errno;
    if (r == 0 && table->n > 0)
        qsort(table->all, table->n, sizeof(*table->all), compare_pids);
    return r;
}

static bool is_of(const struct member_root *root, const struct process_stat *process)
{
    if (root->lost)
        return process->pid == root->pid && process->parent == getppid();
    return process->pid == root->pid || process->group == root->pid;
}

static size_t find_leader(const struct member_root *roots, size_t n,
                          const struct process_stat *process)
{
    for (size_t i = 0; i < n; i++)
        if (is_of(&roots[i], process))
            return roots[i].leader;
    return NOBODY;
}

static const struct process_stat *find_process(const struct table *table, pid_t pid)
{
    const struct process_stat key = {.pid = pid};
    return table->n == 0 ? NULL
                         : bsearch(&key, table->all, table->n, sizeof(*table->all), compare_pids);
}

/* The nearest leader above it: a worker may have workers of its own. */
static size_t whose(const struct table *table, const struct member_root *roots, size_t n,
                    const struct process_stat *process)
{
    size_t leader = NOBODY;
    for (unsigned i = 0; i < GENERATIONS_MAX && process && leader == NOBODY; i++) {
        leader = find_leader(roots, n, process);
        process = process->parent > 1 ? find_process(table, process->parent) : NULL;
    }
    return leader;
}

int members_read(const struct member_root *roots, size_t n_roots, struct members *ret)
{
    CLEANUP(table_clear) struct table table = {0};
    int r = read_table(&table);
    if (r < 0)
        return r;
    struct members members = {.all = calloc(table.n + 1, sizeof(*members.all))};
    if (!members.all)
        return -ENOMEM;
    for (size_t i = 0; i < table.n; i++) {
        size_t leader = table.all[i].dead ? NOBODY : whose(&table, roots, n_roots, &table.all[i]);
        if (leader != NOBODY)
            members.all[members.n++] = (struct member){.leader = leader, .stat = table.all[i]};
    }
    if (members.n > 0)
        qsort(members.all, members.n, sizeof(*members.all), compare_members);
    *ret = members;
    return 0;
}

void members_clear(struct members *members)
{
    free(members->all);
    *members = (struct members){0};
}
