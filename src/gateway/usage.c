/* Marks are in the order of their pids. Those of processes that have gone are swept out when there are twice as many as the last time. */
#include "gateway/usage.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#define SWEEP_MIN ((size_t)256)

struct usage {
    struct usage_mark *marks;
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
        if (usage->marks[middle].pid < pid)
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
        if (kill(usage->marks[i].pid, 0) == 0 || errno != ESRCH)
            usage->marks[kept++] = usage->marks[i];
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
    struct usage_mark *marks = reallocarray(usage->marks, allocated, sizeof(*marks));
    if (!marks)
        return -ENOMEM;
    usage->marks = marks;
    usage->allocated = allocated;
    return 0;
}

/* NULL: there is no room for it. */
static struct usage_mark *get_mark(struct usage *usage, pid_t pid)
{
    size_t place = find(usage, pid);
    if (place < usage->n && usage->marks[place].pid == pid)
        return &usage->marks[place];
    if (make_room(usage) < 0)
        return NULL;
    place = find(usage, pid);
    struct usage_mark *mark = &usage->marks[place];
    memmove(mark + 1, mark, (usage->n - place) * sizeof(*mark));
    usage->n++;
    /* No look so far: whatever is seen now is of another process than that. */
    *mark = (struct usage_mark){.pid = pid, .start_usec = UINT64_MAX};
    return mark;
}

int usage_look(struct usage *usage, pid_t pid, pid_t parent, struct usage_sample *ret)
{
    struct process_usage look;
    CLEANUP_FD int process_fd = pid > 0 ? process_open(pid) : -ESRCH;
    int r = process_fd < 0 ? process_fd : process_usage(process_fd, &look);
    if (r < 0)
        return r;
    if (parent > 0 && look.parent != parent)
        return -ESRCH;
    struct usage_mark none = {.pid = pid, .start_usec = UINT64_MAX}, *mark = get_mark(usage, pid);
    *ret = (struct usage_sample){
        .cpu = usage_measure(mark ? mark : &none, &look, clock_usec(CLOCK_BOOTTIME)),
        .cpu_usec = look.cpu_usec,
        .memory = look.memory,
        .start_usec = look.start_usec};
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
    free(usage->marks);
    free(usage);
    return NULL;
}
