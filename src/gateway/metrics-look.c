/* All processes are looked at before anything is written: one look at each is enough for all families. */
#include "gateway/metrics.h"

#include "base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void metrics_processes_clear(struct metrics_processes *processes)
{
    free(processes->list);
    *processes = (struct metrics_processes){0};
}

/* Whole seconds, and the same ones each time: what it is added to does not tremble from one look to the next. */
static uint64_t read_boot_time(void)
{
    CLEANUP_FREE char *line = NULL;
    size_t size = 0;
    uint64_t seconds = 0;
    FILE *stream = fopen("/proc/stat", "re");
    if (!stream)
        return 0;
    while (getline(&line, &size, stream) > 0)
        if (sscanf(line, "btime %" SCNu64, &seconds) == 1)
            break;
    (void)fclose(stream);
    return seconds * USEC_PER_SEC;
}

static void look_at(struct metrics_processes *processes, const json_t *object)
{
    json_int_t pid = json_integer_value(json_object_get(object, "pid"));
    if (!processes->list || pid <= 0 || pid > INT32_MAX)
        return;
    struct metrics_process *process = &processes->list[processes->n];
    process->pid = (pid_t)pid;
    CLEANUP_FD int fd = process_open(process->pid);
    if (fd >= 0 && process_usage(fd, &process->usage) == 0)
        processes->n++;
}

static size_t look_at_workers(const json_t *slots, struct metrics_processes *processes)
{
    size_t i, j, n = 0;
    const json_t *slot, *worker;
    json_array_foreach(slots, i, slot)
        json_array_foreach(json_object_get(slot, "workers"), j, worker)
    {
        look_at(processes, worker);
        n++;
    }
    return n;
}

/* Without a list it only counts. */
static size_t look_at_all(const json_t *status, struct metrics_processes *processes)
{
    size_t i;
    const json_t *program, *master = json_object_get(status, "master");
    const json_t *const alone[] = {master, json_object_get(master, "logger"),
                                   json_object_get(master, "prober")};
    for (i = 0; i < ARRAY_SIZE(alone); i++)
        look_at(processes, alone[i]);
    size_t n = ARRAY_SIZE(alone);
    json_array_foreach(json_object_get(status, "programs"), i, program)
        n += look_at_workers(json_object_get(program, "slots"), processes);
    program = json_object_get(json_object_get(status, "gateway"), "program");
    return n + look_at_workers(json_object_get(program, "slots"), processes);
}

static int compare(const void *a, const void *b)
{
    const struct metrics_process *one = a, *other = b;
    return (one->pid > other->pid) - (one->pid < other->pid);
}

int metrics_look(const json_t *status, struct metrics_processes *ret)
{
    struct metrics_processes processes = {.booted_usec = read_boot_time()};
    processes.list = calloc(look_at_all(status, &processes), sizeof(*processes.list));
    if (!processes.list)
        return -ENOMEM;
    (void)look_at_all(status, &processes);
    qsort(processes.list, processes.n, sizeof(*processes.list), compare);
    *ret = processes;
    return 0;
}
