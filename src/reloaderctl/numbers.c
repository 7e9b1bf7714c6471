#include "reloaderctl/numbers.h"

#include "base/clock.h"
#include "base/fd.h"
#include "process/connections.h"
#include "process/usage.h"
#include "reloaderctl/field.h"

struct reader {
    pid_t master;
    bool pss;
    bool has_connections;
    struct connections connections;
};

static void reader_clear(struct reader *reader)
{
    connections_clear(&reader->connections);
}

double numbers_percent(uint64_t cpu_usec, uint64_t elapsed_usec)
{
    if (elapsed_usec == 0)
        return 0;
    double hundredths = (double)cpu_usec * 10000 / (double)elapsed_usec;
    return (double)(uint64_t)(hundredths + 0.5) / 100;
}

static void set(json_t *object, const char *name, uint64_t value)
{
    (void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void add_usage(json_t *object, const struct process_usage *usage)
{
    uint64_t now = clock_usec(CLOCK_BOOTTIME),
             age = now > usage->start_usec ? now - usage->start_usec : 0;
    /* A master tells its own. */
    if (!json_object_get(object, "uptime_usec"))
        set(object, "uptime_usec", age);
    set(object, "start_usec", usage->start_usec);
    set(object, "cpu_usec", usage->cpu_usec);
    (void)json_object_set_new(object, "cpu", json_real(numbers_percent(usage->cpu_usec, age)));
    set(object, "memory", usage->memory);
}

static bool holds(uint32_t inode, void *userdata)
{
    return connections_have(userdata, inode);
}

static void add_fds(struct reader *reader, json_t *object, int process_fd, bool is_worker)
{
    struct process_fds fds;
    bool counts = is_worker && reader->has_connections &&
                  process_count_fds(process_fd, holds, &reader->connections, &fds) == 0;
    if (!counts && process_count_fds(process_fd, NULL, NULL, &fds) < 0)
        return;
    set(object, "fds", fds.all);
    if (counts)
        set(object, "connections", fds.counted);
}

/* Workers and the helper are children of the master: who else has that pid by now came after they had left. */
static void add_process(struct reader *reader, json_t *object, bool is_worker)
{
    struct process_usage usage;
    uint64_t pss;
    pid_t pid = (pid_t)get_number(object, "pid");
    CLEANUP_FD int process_fd = pid > 0 ? process_open(pid) : -1;
    if (process_fd < 0 || process_usage(process_fd, &usage) < 0 ||
        (pid != reader->master && usage.parent != reader->master))
        return;
    add_usage(object, &usage);
    if (reader->pss && process_pss(process_fd, &pss) == 0)
        set(object, "pss", pss);
    add_fds(reader, object, process_fd, is_worker);
}

static void add_workers(struct reader *reader, json_t *program)
{
    json_t *slot, *worker;
    size_t i, k;
    json_array_foreach(json_object_get(program, "slots"), i, slot)
        json_array_foreach(json_object_get(slot, "workers"), k, worker)
            add_process(reader, worker, true);
}

void numbers_add(json_t *status, pid_t peer, bool pss)
{
    json_t *master = json_object_get(status, "master"), *program;
    CLEANUP(reader_clear) struct reader reader = {.master = peer, .pss = pss};
    size_t i;
    if (peer <= 0 || get_number(master, "pid") != (uint64_t)peer)
        return;
    reader.has_connections = connections_read(&reader.connections) == 0;
    add_process(&reader, master, false);
    add_process(&reader, json_object_get(master, "logger"), false);
    json_array_foreach(json_object_get(status, "programs"), i, program)
        add_workers(&reader, program);
}
