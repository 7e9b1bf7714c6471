#include "why/holdings.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/macros.h"
#include "base/parse.h"
#include "process/usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define PATIENCE_USEC USEC_PER_SEC

/* Of one process */

struct walk {
    struct holdings *holdings;
    uint32_t member;
    int r;
};

static int add(struct holdings *holdings, struct holding holding)
{
    if (holdings->n == holdings->allocated) {
        size_t wanted = MAX(holdings->allocated * 2, (size_t)256);
        if (holdings->n >= HOLDINGS_MAX)
            return -EFBIG;
        struct holding *larger = reallocarray(holdings->all, wanted, sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        holdings->all = larger;
        holdings->allocated = wanted;
    }
    holdings->all[holdings->n++] = holding;
    return 0;
}

static bool take_inode(uint32_t inode, void *userdata)
{
    struct walk *walk = userdata;
    if (walk->r == 0)
        walk->r = add(walk->holdings, (struct holding){.inode = inode, .member = walk->member});
    return true;
}

/* Whoever has the pid when its directory is open and still has the same start is who was seen before. */
static int walk_process(const struct process_stat *stat, struct walk *walk)
{
    struct process_stat now;
    struct process_fds ignored;
    CLEANUP_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FD int process_fd = process_open(stat->pid);
    if (process_fd < 0)
        return process_fd;
    int r = process_stat_read(proc, stat->pid, &now);
    if (r == 0 && now.start != stat->start)
        r = -ESRCH;
    return r < 0 ? r : process_count_fds(process_fd, take_inode, walk, &ignored);
}

static int compare(const void *a, const void *b)
{
    const struct holding *x = a, *y = b;
    if (x->inode != y->inode)
        return x->inode > y->inode ? 1 : -1;
    return (x->member > y->member) - (x->member < y->member);
}

/* A process may have several descriptors of one socket. */
static void sort_and_drop_doubles(struct holdings *holdings)
{
    size_t kept = 0;
    if (holdings->n == 0)
        return;
    qsort(holdings->all, holdings->n, sizeof(*holdings->all), compare);
    for (size_t i = 1; i < holdings->n; i++)
        if (compare(&holdings->all[kept], &holdings->all[i]) != 0)
            holdings->all[++kept] = holdings->all[i];
    holdings->n = kept + 1;
}

int holdings_read(const struct members *members, struct holdings *ret)
{
    CLEANUP(holdings_clear)
    struct holdings holdings = {.failures = calloc(members->n + 1, sizeof(*holdings.failures))};
    if (!holdings.failures)
        return -ENOMEM;
    for (size_t i = 0; i < members->n; i++) {
        struct walk walk = {.holdings = &holdings, .member = (uint32_t)i};
        holdings.failures[i] = walk_process(&members->all[i].stat, &walk);
        if (walk.r < 0)
            return walk.r;
    }
    sort_and_drop_doubles(&holdings);
    *ret = holdings;
    holdings = (struct holdings){0};
    return 0;
}

void holdings_clear(struct holdings *holdings)
{
    free(holdings->all);
    free(holdings->failures);
    *holdings = (struct holdings){0};
}

const struct holding *holdings_find(const struct holdings *holdings, uint32_t inode, size_t *ret_n)
{
    size_t low = 0, high = holdings->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (holdings->all[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    size_t n = 0;
    while (low + n < holdings->n && holdings->all[low + n].inode == inode)
        n++;
    *ret_n = n;
    return n > 0 ? &holdings->all[low] : NULL;
}

/* The other ends */

struct search {
    struct other_end *ends;
    size_t n;
    pid_t pid;
};

static int compare_ends(const void *a, const void *b)
{
    const struct other_end *x = a, *y = b;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static bool is_other_end(uint32_t inode, void *userdata)
{
    const struct search *search = userdata;
    const struct other_end key = {.inode = inode};
    struct other_end *end = bsearch(&key, search->ends, search->n, sizeof(key), compare_ends);
    if (end && end->pid == 0)
        end->pid = search->pid;
    return end;
}

static void close_directory(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

void holdings_find_others(struct other_end *ends, size_t n)
{
    uint64_t deadline = clock_monotonic_usec() + PATIENCE_USEC, pid;
    CLEANUP(close_directory) DIR *proc = n > 0 ? opendir("/proc") : NULL;
    const struct dirent *entry;
    if (!proc)
        return;
    qsort(ends, n, sizeof(*ends), compare_ends);
    while ((entry = readdir(proc)) && clock_monotonic_usec() < deadline) {
        struct process_fds ignored;
        if (parse_unsigned(entry->d_name, 1, INT32_MAX, &pid) < 0)
            continue;
        struct search search = {.ends = ends, .n = n, .pid = (pid_t)pid};
        CLEANUP_FD int process_fd = process_open((pid_t)pid);
        if (process_fd >= 0)
            (void)process_count_fds(process_fd, is_other_end, &search, &ignored);
    }
}
