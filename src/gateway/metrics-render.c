/*
 * One row for each family, in the order of the text. A row says at which objects of Status its samples are (`level`), and either which member of such an
 * object is the value or who writes it.
 */
#include "gateway/metrics-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum level {
    LEVEL_GATEWAY, /* once */
    LEVEL_MASTER,
    LEVEL_HELPER,
    LEVEL_HELPER_PROCESS,
    LEVEL_RESULT, /* of reloads */
    LEVEL_PROGRAM,
    LEVEL_SLOT,
    LEVEL_WORKER,
    LEVEL_LISTENER,
};

struct metric {
    struct exposition_family family;
    enum level level;
    const char *member; /* a number; with a unit in microseconds */
    void (*write)(struct exposition *out, const struct place *place);
};

#define GAUGE(name, help) .family = {"reloader_" name, EXPOSITION_GAUGE, NULL, help}
#define GAUGE_OF(unit, name, help)                                                                 \
    .family = {"reloader_" name "_" unit, EXPOSITION_GAUGE, unit, help}
#define COUNTER(name, help) .family = {"reloader_" name, EXPOSITION_COUNTER, NULL, help}
#define COUNTER_OF(unit, name, help)                                                               \
    .family = {"reloader_" name "_" unit, EXPOSITION_COUNTER, unit, help}

static const struct metric metrics[] = {
    {GAUGE("up", "Whether the master answers."), LEVEL_GATEWAY, .write = metrics_write_up},
    {GAUGE("gateway_connections", "HTTP connections of the gateway."), LEVEL_GATEWAY,
     .write = metrics_write_connections},
    {GAUGE("gateway_connections_limit", "How many HTTP connections the gateway takes."),
     LEVEL_GATEWAY, .write = metrics_write_connections_limit},

    {.family = {"reloader", EXPOSITION_INFO, NULL, "What runs."},
     LEVEL_MASTER,
     .write = metrics_write_version},
    {GAUGE("master_state", "1 for the state that the master is in."), LEVEL_MASTER,
     .write = metrics_write_master_state},
    {GAUGE_OF("seconds", "master_start_time", "When the master began, since the epoch."),
     LEVEL_MASTER, .write = metrics_write_start},
    {COUNTER_OF("seconds", "master_cpu", "CPU time of the master, user and system."), LEVEL_MASTER,
     .write = metrics_write_cpu},
    {GAUGE_OF("bytes", "master_resident_memory", "Resident memory of the master."), LEVEL_MASTER,
     .write = metrics_write_memory},
    {.family = {"reloader_loop_delay_seconds", EXPOSITION_HISTOGRAM, "seconds",
                "How long what was due had to wait for its turn in the master's event loop."},
     LEVEL_MASTER,
     .write = metrics_write_loop_delays},
    {GAUGE_OF("seconds", "loop_delay_longest", "The longest such wait of about the last minute."),
     LEVEL_MASTER, "loop_delay"},
    {GAUGE("stray_processes", "Processes that workers left behind."), LEVEL_MASTER,
     .write = metrics_write_strays},

    {COUNTER("helper_deaths", "How often a process of reloader's own ended by itself."),
     LEVEL_HELPER, .write = metrics_write_deaths},
    {COUNTER_OF("seconds", "helper_cpu", "CPU time of such a process, user and system."),
     LEVEL_HELPER_PROCESS, .write = metrics_write_cpu},
    {GAUGE_OF("bytes", "helper_resident_memory", "Resident memory of such a process."),
     LEVEL_HELPER_PROCESS, .write = metrics_write_memory},

    {GAUGE("reload_running", "Whether a reload is under way."), LEVEL_MASTER,
     .write = metrics_write_reload_runs},
    {COUNTER("reloads", "Reloads that ended, by their result."), LEVEL_RESULT, "count"},
    {.family = {"reloader_reload_duration_seconds", EXPOSITION_SUMMARY, "seconds",
                "How long they took, by their result."},
     LEVEL_RESULT,
     .write = metrics_write_durations},

    {GAUGE("program_state", "1 for the state that the program is in."), LEVEL_PROGRAM,
     .write = metrics_write_program_state},
    {GAUGE("program_generation", "The newest generation of the program that was committed."),
     LEVEL_PROGRAM, "generation"},
    {GAUGE("program_workers_wanted", "How many workers the program shall have."), LEVEL_PROGRAM,
     "workers"},
    {GAUGE("program_workers_ready", "How many of them are ready."), LEVEL_PROGRAM, "ready"},
    {GAUGE("program_workers_draining", "Workers that serve their last clients and then leave."),
     LEVEL_PROGRAM, .write = metrics_write_draining},
    {COUNTER("program_output_dropped_lines", "Lines that workers printed and nobody could write."),
     LEVEL_PROGRAM, .write = metrics_write_dropped_lines},
    {COUNTER_OF("bytes", "program_output_dropped", "The same in bytes."), LEVEL_PROGRAM,
     .write = metrics_write_dropped_bytes},
    {COUNTER_OF("bytes", "program_output_lost", "What reloader-log had read when it was killed."),
     LEVEL_PROGRAM, .write = metrics_write_lost_bytes},

    {GAUGE("worker_state", "1 for the state that the slot is in."), LEVEL_SLOT,
     .write = metrics_write_slot_state},
    {COUNTER("worker_restarts", "How often a worker of the slot ended unasked and was replaced."),
     LEVEL_SLOT, "restarts"},

    {.family = {"reloader_worker", EXPOSITION_INFO, NULL, "A worker's process and generation."},
     LEVEL_WORKER,
     .write = metrics_write_worker_info},
    {GAUGE("worker_healthy", "Whether the worker's health check succeeds, where there is one."),
     LEVEL_WORKER, .write = metrics_write_healthy},
    {GAUGE_OF("seconds", "worker_start_time", "When the worker began, since the epoch."),
     LEVEL_WORKER, .write = metrics_write_start},
    {COUNTER_OF("seconds", "worker_cpu", "CPU time of the worker, user and system."), LEVEL_WORKER,
     .write = metrics_write_cpu},
    {GAUGE_OF("bytes", "worker_resident_memory", "Resident memory of the worker."), LEVEL_WORKER,
     .write = metrics_write_memory},

    {GAUGE("listener_queue_length", "Clients that wait to be accepted."), LEVEL_LISTENER,
     .write = metrics_write_queue_length},
    {GAUGE("listener_queue_limit", "How many may wait."), LEVEL_LISTENER,
     .write = metrics_write_queue_limit},
    {GAUGE_OF("bytes", "listener_receive_queue", "Datagrams that wait to be received."),
     LEVEL_LISTENER, .write = metrics_write_queue_bytes},
    {GAUGE_OF("bytes", "listener_receive_queue_limit", "How much of them may wait."),
     LEVEL_LISTENER, .write = metrics_write_queue_bytes_limit},
    {COUNTER("listener_drops", "Clients or datagrams for which there was no room."), LEVEL_LISTENER,
     "drops"},
};

/* Walking through Status */

static void write_one(struct exposition *out, const struct metric *metric,
                      const struct place *place)
{
    uint64_t value;
    if (metric->write) {
        metric->write(out, place);
        return;
    }
    if (!metrics_number(place->object, metric->member, &value))
        return;
    if (metric->family.unit)
        exposition_seconds(out, &place->labels, value);
    else
        exposition_number(out, &place->labels, value);
}

static void write_process(struct exposition *out, const struct metric *metric,
                          const struct place *of, const json_t *process)
{
    char text[24];
    uint64_t pid;
    struct place place = *of;
    if (!metrics_number(process, "pid", &pid) || pid == 0)
        return;
    (void)snprintf(text, sizeof(text), "%" PRIu64, pid);
    metrics_label(&place, "pid", text);
    place.object = process;
    place.usage = metrics_usage(of->source, process);
    write_one(out, metric, &place);
}

static void write_workers(struct exposition *out, const struct metric *metric,
                          const struct place *slot)
{
    size_t i;
    const json_t *worker;
    json_array_foreach(json_object_get(slot->object, "workers"), i, worker)
        write_process(out, metric, slot, worker);
}

static void write_slots(struct exposition *out, const struct metric *metric,
                        const struct place *program)
{
    size_t i;
    const json_t *slot;
    json_array_foreach(json_object_get(program->object, "slots"), i, slot)
    {
        char number_text[24];
        uint64_t number;
        struct place place = *program;
        if (!metrics_number(slot, "slot", &number))
            continue;
        (void)snprintf(number_text, sizeof(number_text), "%" PRIu64, number);
        metrics_label(&place, "slot", number_text);
        place.object = slot;
        if (metric->level == LEVEL_WORKER)
            write_workers(out, metric, &place);
        else
            write_one(out, metric, &place);
    }
}

static void write_programs(struct exposition *out, const struct metric *metric,
                           const struct place *root)
{
    size_t i;
    const json_t *program;
    json_array_foreach(json_object_get(root->source->status, "programs"), i, program)
    {
        struct place place = *root;
        metrics_label(&place, "program", metrics_text(program, "name"));
        place.object = program;
        if (metric->level == LEVEL_PROGRAM)
            write_one(out, metric, &place);
        else
            write_slots(out, metric, &place);
    }
}

/* `object` is a helper, or the one slot of the gateway. */
static void write_helper(struct exposition *out, const struct metric *metric,
                         const struct place *master, const char *name, const json_t *object)
{
    struct place place = *master;
    if (!object)
        return;
    metrics_label(&place, "helper", name);
    place.object = object;
    if (metric->level == LEVEL_HELPER)
        write_one(out, metric, &place);
    else if (json_object_get(object, "workers"))
        write_workers(out, metric, &place);
    else
        write_process(out, metric, &place, object);
}

static void write_helpers(struct exposition *out, const struct metric *metric,
                          const struct place *master)
{
    const json_t *status = master->source->status;
    write_helper(out, metric, master, "gateway", metrics_gateway_slot(status));
    write_helper(out, metric, master, "logger", json_object_get(master->object, "logger"));
    write_helper(out, metric, master, "prober", json_object_get(master->object, "prober"));
}

static void write_results(struct exposition *out, const struct metric *metric,
                          const struct place *master)
{
    size_t i;
    const json_t *result;
    json_array_foreach(json_object_get(master->object, "reloads"), i, result)
    {
        struct place place = *master;
        metrics_label(&place, "result", metrics_text(result, "result"));
        place.object = result;
        write_one(out, metric, &place);
    }
}

/*
 * Sockets of one listener may have one address, and then differ in nothing that stays: `socket` is which of them it is, which is
 * the slot where each has its own.
 */
static void write_listeners(struct exposition *out, const struct metric *metric,
                            const struct place *root)
{
    size_t i, ordinal = 0;
    const json_t *listener;
    const char *before = NULL;
    json_array_foreach(json_object_get(root->source->status, "listeners"), i, listener)
    {
        char text[24];
        struct place place = *root;
        const char *name = metrics_text(listener, "name");
        ordinal = before && strcmp(before, name) == 0 ? ordinal + 1 : 0;
        before = name;
        (void)snprintf(text, sizeof(text), "%zu", ordinal);
        metrics_label(&place, "listener", name);
        metrics_label(&place, "address", metrics_text(listener, "address"));
        metrics_label(&place, "socket", text);
        place.object = listener;
        write_one(out, metric, &place);
    }
}

static void write_metric(struct exposition *out, const struct metric *metric,
                         const struct metrics_source *source)
{
    struct place place = {.source = source, .object = json_object_get(source->status, "master")};
    place.usage = metrics_usage(source, place.object);
    exposition_begin(out, &metric->family);
    if (!source->status && metric->level != LEVEL_GATEWAY)
        return;
    switch (metric->level) {
    case LEVEL_GATEWAY:
    case LEVEL_MASTER:
        write_one(out, metric, &place);
        break;
    case LEVEL_HELPER:
    case LEVEL_HELPER_PROCESS:
        write_helpers(out, metric, &place);
        break;
    case LEVEL_RESULT:
        write_results(out, metric, &place);
        break;
    case LEVEL_PROGRAM:
    case LEVEL_SLOT:
    case LEVEL_WORKER:
        write_programs(out, metric, &place);
        break;
    case LEVEL_LISTENER:
        write_listeners(out, metric, &place);
        break;
    }
}

int metrics_render(const struct metrics_source *source, bool openmetrics, char **ret,
                   size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return -ENOMEM;
    struct exposition out = {.stream = stream, .openmetrics = openmetrics};
    for (size_t i = 0; i < ARRAY_SIZE(metrics); i++)
        write_metric(&out, &metrics[i], source);
    exposition_end(&out);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) != 0 || failed) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    *ret_size = size;
    return 0;
}
