/* Entries are in the order of their pids. Those of processes that have gone are swept out when there are twice as many as the last time. */
#include "gateway/usage.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#define SWEEP_MIN ((size_t)256)

struct entry {
    struct usage_mark mark;
    /* The last look at it, which is good for a while. */
    struct usage_sample sample;
    pid_t parent;
    uint64_t looked_usec;
};

struct usage {
    struct entry *entries;
    size_t n, allocated, sweep_at;
    uint64_t swept_usec;
};

uint64_t usage_percent(uint64_t cpu_usec, uint64_t elapsed_usec)
{
    if (elapsed_usec == 0)
        return 0;
    return (uint64_t)((double)cpu_usec * 10000 / (double)elapsed_usec + 0.5);
}

uint64_t usage_measure(struct usage_mark *mark, const struct process_usage *look, uint64_t now_usec)
{
    if (mark->start_usec != look->start_usec || look->cpu_usec < mark->last_cpu_usec ||
        now_usec < mark->last_usec)
        *mark = (struct usage_mark){.pid = mark->pid,
                                    .start_usec = look->start_usec,
                                    .base_usec = MIN(look->start_usec, now_usec),
                                    .last_usec = now_usec,
                                    .last_cpu_usec = look->cpu_usec};
    if (now_usec - mark->last_usec >= USAGE_WINDOW_USEC) {
        mark->base_usec = mark->last_usec;
        mark->base_cpu_usec = mark->last_cpu_usec;
        mark->last_usec = now_usec;
        mark->last_cpu_usec = look->cpu_usec;
    }
    return usage_percent(look->cpu_usec - mark->base_cpu_usec, now_usec - mark->base_usec);
}

/* Where it is, or belongs. */
static size_t find(const struct usage *usage, pid_t pid)
{
    size_t begin = 0, end = usage->n;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (usage->entries[middle].mark.pid < pid)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

static void sweep(struct usage *usage)
{
    size_t kept = 0;
    for (size_t i = 0; i < usage->n; i++)
        if (kill(usage->entries[i].mark.pid, 0) == 0 || errno != ESRCH)
            usage->entries[kept++] = usage->entries[i];
    usage->n = kept;
    usage->sweep_at = MAX(2 * kept, SWEEP_MIN);
    usage->swept_usec = clock_monotonic_usec();
}

/* When all that are remembered live, not for each that comes. */
static bool is_full(struct usage *usage)
{
    if (usage->n >= USAGE_MAX && clock_monotonic_usec() - usage->swept_usec >= USAGE_WINDOW_USEC)
        sweep(usage);
    return usage->n >= USAGE_MAX;
}

static int make_room(struct usage *usage)
{
    if (is_full(usage))
        return -ENOBUFS;
    if (usage->n >= usage->sweep_at)
        sweep(usage);
    if (usage->n < usage->allocated)
        return 0;
    size_t allocated = MAX(2 * usage->allocated, SWEEP_MIN);
    struct entry *entries = reallocarray(usage->entries, allocated, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    usage->entries = entries;
    usage->allocated = allocated;
    return 0;
}

static struct entry *get_entry(struct usage *usage, pid_t pid)
{
    size_t place = find(usage, pid);
    return place < usage->n && usage->entries[place].mark.pid == pid ? &usage->entries[place]
                                                                     : NULL;
}

/* Without room for it, it is not remembered. */
static void add_entry(struct usage *usage, const struct entry *entry)
{
    if (make_room(usage) < 0)
        return;
    size_t place = find(usage, entry->mark.pid);
    struct entry *entries = &usage->entries[place];
    memmove(entries + 1, entries, (usage->n - place) * sizeof(*entries));
    usage->n++;
    *entries = *entry;
}

static int look(struct entry *entry, uint64_t now_usec)
{
    struct process_usage usage;
    CLEANUP_FD int process_fd = process_open(entry->mark.pid);
    int r = process_fd < 0 ? process_fd : process_usage(process_fd, &usage);
    if (r < 0)
        return r;
    entry->sample = (struct usage_sample){.cpu = usage_measure(&entry->mark, &usage, now_usec),
                                          .cpu_usec = usage.cpu_usec,
                                          .memory = usage.memory,
                                          .start_usec = usage.start_usec};
    entry->parent = usage.parent;
    entry->looked_usec = now_usec;
    return 0;
}

/* In a mark without a look: whatever is seen now is of another process than that. */
static int look_first(struct usage *usage, pid_t pid, uint64_t now_usec, struct entry *ret)
{
    struct entry entry = {.mark = {.pid = pid, .start_usec = UINT64_MAX}};
    int r = look(&entry, now_usec);
    if (r < 0)
        return r;
    add_entry(usage, &entry);
    *ret = entry;
    return 0;
}

int usage_look(struct usage *usage, pid_t pid, pid_t parent, struct usage_sample *ret)
{
    uint64_t now = clock_usec(CLOCK_BOOTTIME);
    struct entry *known = get_entry(usage, pid), first;
    int r = 0;
    if (!known)
        r = pid > 0 ? look_first(usage, pid, now, &first) : -ESRCH;
    else if (now - known->looked_usec >= USAGE_GOOD_USEC)
        r = look(known, now);
    if (r < 0)
        return r;
    const struct entry *entry = known ? known : &first;
    if (parent > 0 && entry->parent != parent)
        return -ESRCH;
    *ret = entry->sample;
    return 0;
}

size_t usage_remembered(const struct usage *usage)
{
    return usage->n;
}

int usage_new(struct usage **ret)
{
    struct usage *usage = calloc(1, sizeof(*usage));
    if (!usage)
        return -ENOMEM;
    usage->sweep_at = SWEEP_MIN;
    *ret = usage;
    return 0;
}

struct usage *usage_free(struct usage *usage)
{
    if (!usage)
        return NULL;
    free(usage->entries);
    free(usage);
    return NULL;
}
