/*
 * One row for each family, in the order of the text. A row says at which objects of Status its samples are (`level`), and either which member of such an
 * object is the value or who writes it.
 */
#include "gateway/metrics.h"

#include "gateway/exposition.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a sample is about. Objects are borrowed from Status. */
struct place {
    const struct metrics_source *source;
    const json_t *object;
    const struct process_usage *usage; /* of the process that `object` is; NULL: not known */
    struct exposition_labels labels;
};

enum level {
    LEVEL_GATEWAY, /* once */
    LEVEL_MASTER,
    LEVEL_HELPER,
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

/* Reading Status */

static const char *get_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* False: it has none. */
static bool get_number(const json_t *object, const char *name, uint64_t *ret)
{
    const json_t *number = json_object_get(object, name);
    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(number);
    return true;
}

static const struct process_usage *find_usage(const struct metrics_source *source,
                                              const json_t *object)
{
    uint64_t pid;
    size_t low = 0, high = source->processes->n;
    if (!get_number(object, "pid", &pid))
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct metrics_process *process = &source->processes->list[middle];
        if ((uint64_t)process->pid == pid)
            return &process->usage;
        if ((uint64_t)process->pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void add_label(struct place *place, const char *name, const char *value)
{
    place->labels.list[place->labels.n++] = (struct exposition_label){name, value};
}

/* Samples that are more than one number */

static void write_up(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels, place->source->status != NULL);
}

static void write_connections(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels, place->source->connections);
}

static void write_connections_limit(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels, HTTP_CONNECTIONS_MAX);
}

static void write_version(struct exposition *out, const struct place *place)
{
    struct place of = *place;
    add_label(&of, "version", get_text(of.object, "version"));
    exposition_number(out, &of.labels, 1);
}

static void write_cpu(struct exposition *out, const struct place *place)
{
    if (place->usage)
        exposition_seconds(out, &place->labels, place->usage->cpu_usec);
}

static void write_memory(struct exposition *out, const struct place *place)
{
    if (place->usage)
        exposition_number(out, &place->labels, place->usage->memory);
}

static void write_start(struct exposition *out, const struct place *place)
{
    uint64_t booted = place->source->processes->booted_usec;
    if (place->usage && booted > 0)
        exposition_seconds(out, &place->labels, booted + place->usage->start_usec);
}

/* 1 for the state it is in and 0 for each other of `known`, so that none is missing when one asks how long it was in it. */
static void write_state(struct exposition *out, const struct place *place, const char *const *known)
{
    const char *state = get_text(place->object, "state");
    bool is_known = *state == '\0';
    for (; *known; known++) {
        struct place of = *place;
        bool is = strcmp(*known, state) == 0;
        add_label(&of, "state", *known);
        exposition_number(out, &of.labels, is);
        is_known |= is;
    }
    if (is_known)
        return;
    struct place of = *place; /* of a master that is newer than we are */
    add_label(&of, "state", state);
    exposition_number(out, &of.labels, 1);
}

static void write_master_state(struct exposition *out, const struct place *place)
{
    static const char *const known[] = {"starting", "running", "reloading", "stopping", NULL};
    write_state(out, place, known);
}

static void write_program_state(struct exposition *out, const struct place *place)
{
    static const char *const known[] = {"STOPPED",   "WAITING",      "STARTING", "PARTIAL", "READY",
                                        "RELOADING", "ROLLING_BACK", "STOPPING", "EXITED",  "FATAL",
                                        NULL};
    write_state(out, place, known);
}

static void write_slot_state(struct exposition *out, const struct place *place)
{
    static const char *const known[] = {"STOPPED", "STARTING", "READY", "DRAINING", "STOPPING",
                                        "BACKOFF", "EXITED",   "FATAL", NULL};
    write_state(out, place, known);
}

static void write_loop_delays(struct exposition *out, const struct place *place)
{
    size_t i;
    const json_t *bucket;
    uint64_t count = 0, sum;
    const json_t *buckets = json_object_get(place->object, "loop_delays");
    if (json_array_size(buckets) == 0 || !get_number(place->object, "loop_delay_sum", &sum))
        return;
    json_array_foreach(buckets, i, bucket)
    {
        uint64_t bound = UINT64_MAX;
        (void)get_number(bucket, "most_usec", &bound);
        if (get_number(bucket, "count", &count))
            exposition_bucket(out, bound, count);
    }
    exposition_bucket_sum(out, count, sum);
}

static void write_reload_runs(struct exposition *out, const struct place *place)
{
    const char *state = get_text(json_object_get(place->source->status, "reload"), "state");
    if (*state)
        exposition_number(out, &place->labels,
                          strcmp(state, "none") != 0 && strcmp(state, "ended") != 0);
}

static void write_durations(struct exposition *out, const struct place *place)
{
    uint64_t count, sum;
    if (get_number(place->object, "count", &count) &&
        get_number(place->object, "duration_usec", &sum))
        exposition_summary(out, &place->labels, count, sum);
}

static void write_strays(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels,
                      json_array_size(json_object_get(place->source->status, "strays")));
}

static void write_draining(struct exposition *out, const struct place *place)
{
    size_t i, j;
    uint64_t n = 0;
    const json_t *slot, *worker;
    json_array_foreach(json_object_get(place->object, "slots"), i, slot)
        json_array_foreach(json_object_get(slot, "workers"), j, worker)
            n += strcmp(get_text(worker, "state"), "DRAINING") == 0;
    exposition_number(out, &place->labels, n);
}

/* Status leaves them out where nothing was lost. */
static void write_lost(struct exposition *out, const struct place *place, const char *member)
{
    uint64_t lost = 0;
    (void)get_number(json_object_get(place->object, "output"), member, &lost);
    exposition_number(out, &place->labels, lost);
}

static void write_dropped_lines(struct exposition *out, const struct place *place)
{
    write_lost(out, place, "dropped_lines");
}

static void write_dropped_bytes(struct exposition *out, const struct place *place)
{
    write_lost(out, place, "dropped_bytes");
}

static void write_lost_bytes(struct exposition *out, const struct place *place)
{
    write_lost(out, place, "lost_bytes");
}

static void write_worker_info(struct exposition *out, const struct place *place)
{
    char text[24];
    uint64_t generation;
    struct place of = *place;
    if (!get_number(of.object, "generation", &generation))
        return;
    (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, (json_int_t)generation);
    add_label(&of, "generation", text);
    exposition_number(out, &of.labels, 1);
}

static void write_healthy(struct exposition *out, const struct place *place)
{
    const char *state = get_text(json_object_get(place->object, "health"), "state");
    if (strcmp(state, "healthy") == 0 || strcmp(state, "unhealthy") == 0)
        exposition_number(out, &place->labels, strcmp(state, "healthy") == 0);
}

/* Of UDP queues bytes are counted, of others clients. */
static void write_queue(struct exposition *out, const struct place *place, const char *member,
                        bool of_datagrams)
{
    uint64_t value;
    bool datagrams = strncmp(get_text(place->object, "address"), "udp:", 4) == 0;
    if (datagrams == of_datagrams && get_number(place->object, member, &value))
        exposition_number(out, &place->labels, value);
}

static void write_queue_length(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "queue", false);
}

static void write_queue_limit(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "backlog", false);
}

static void write_queue_bytes(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "queue", true);
}

static void write_queue_bytes_limit(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "backlog", true);
}

#define GAUGE(name, help) .family = {"reloader_" name, EXPOSITION_GAUGE, NULL, help}
#define GAUGE_OF(unit, name, help)                                                                 \
    .family = {"reloader_" name "_" unit, EXPOSITION_GAUGE, unit, help}
#define COUNTER(name, help) .family = {"reloader_" name, EXPOSITION_COUNTER, NULL, help}
#define COUNTER_OF(unit, name, help)                                                               \
    .family = {"reloader_" name "_" unit, EXPOSITION_COUNTER, unit, help}

static const struct metric metrics[] = {
    {GAUGE("up", "Whether the master answers."), LEVEL_GATEWAY, .write = write_up},
    {GAUGE("gateway_connections", "HTTP connections of the gateway."), LEVEL_GATEWAY,
     .write = write_connections},
    {GAUGE("gateway_connections_limit", "How many HTTP connections the gateway takes."),
     LEVEL_GATEWAY, .write = write_connections_limit},

    {.family = {"reloader", EXPOSITION_INFO, NULL, "What runs."},
     LEVEL_MASTER,
     .write = write_version},
    {GAUGE("master_state", "1 for the state that the master is in."), LEVEL_MASTER,
     .write = write_master_state},
    {GAUGE_OF("seconds", "master_start_time", "When the master began, since the epoch."),
     LEVEL_MASTER, .write = write_start},
    {COUNTER_OF("seconds", "master_cpu", "CPU time of the master, user and system."), LEVEL_MASTER,
     .write = write_cpu},
    {GAUGE_OF("bytes", "master_resident_memory", "Resident memory of the master."), LEVEL_MASTER,
     .write = write_memory},
    {.family = {"reloader_loop_delay_seconds", EXPOSITION_HISTOGRAM, "seconds",
                "How long what was due had to wait for its turn in the master's event loop."},
     LEVEL_MASTER,
     .write = write_loop_delays},
    {GAUGE_OF("seconds", "loop_delay_longest", "The longest such wait of about the last minute."),
     LEVEL_MASTER, "loop_delay"},
    {GAUGE("stray_processes", "Processes that workers left behind."), LEVEL_MASTER,
     .write = write_strays},

    {COUNTER("helper_deaths", "How often a helper of the master ended by itself."), LEVEL_HELPER,
     "died"},
    {COUNTER_OF("seconds", "helper_cpu", "CPU time of a helper, user and system."), LEVEL_HELPER,
     .write = write_cpu},
    {GAUGE_OF("bytes", "helper_resident_memory", "Resident memory of a helper."), LEVEL_HELPER,
     .write = write_memory},

    {GAUGE("reload_running", "Whether a reload is under way."), LEVEL_MASTER,
     .write = write_reload_runs},
    {COUNTER("reloads", "Reloads that ended, by their result."), LEVEL_RESULT, "count"},
    {.family = {"reloader_reload_duration_seconds", EXPOSITION_SUMMARY, "seconds",
                "How long they took, by their result."},
     LEVEL_RESULT,
     .write = write_durations},

    {GAUGE("program_state", "1 for the state that the program is in."), LEVEL_PROGRAM,
     .write = write_program_state},
    {GAUGE("program_generation", "The newest generation of the program that was committed."),
     LEVEL_PROGRAM, "generation"},
    {GAUGE("program_workers_wanted", "How many workers the program shall have."), LEVEL_PROGRAM,
     "workers"},
    {GAUGE("program_workers_ready", "How many of them are ready."), LEVEL_PROGRAM, "ready"},
    {GAUGE("program_workers_draining", "Workers that serve their last clients and then leave."),
     LEVEL_PROGRAM, .write = write_draining},
    {COUNTER("program_output_dropped_lines", "Lines that workers printed and nobody could write."),
     LEVEL_PROGRAM, .write = write_dropped_lines},
    {COUNTER_OF("bytes", "program_output_dropped", "The same in bytes."), LEVEL_PROGRAM,
     .write = write_dropped_bytes},
    {COUNTER_OF("bytes", "program_output_lost", "What reloader-log had read when it was killed."),
     LEVEL_PROGRAM, .write = write_lost_bytes},

    {GAUGE("worker_state", "1 for the state that the slot is in."), LEVEL_SLOT,
     .write = write_slot_state},
    {COUNTER("worker_restarts", "How often a worker of the slot ended unasked and was replaced."),
     LEVEL_SLOT, "restarts"},

    {.family = {"reloader_worker", EXPOSITION_INFO, NULL, "A worker's process and generation."},
     LEVEL_WORKER,
     .write = write_worker_info},
    {GAUGE("worker_healthy", "Whether the worker's health check succeeds, where there is one."),
     LEVEL_WORKER, .write = write_healthy},
    {GAUGE_OF("seconds", "worker_start_time", "When the worker began, since the epoch."),
     LEVEL_WORKER, .write = write_start},
    {COUNTER_OF("seconds", "worker_cpu", "CPU time of the worker, user and system."), LEVEL_WORKER,
     .write = write_cpu},
    {GAUGE_OF("bytes", "worker_resident_memory", "Resident memory of the worker."), LEVEL_WORKER,
     .write = write_memory},

    {GAUGE("listener_queue_length", "Clients that wait to be accepted."), LEVEL_LISTENER,
     .write = write_queue_length},
    {GAUGE("listener_queue_limit", "How many may wait."), LEVEL_LISTENER,
     .write = write_queue_limit},
    {GAUGE_OF("bytes", "listener_receive_queue", "Datagrams that wait to be received."),
     LEVEL_LISTENER, .write = write_queue_bytes},
    {GAUGE_OF("bytes", "listener_receive_queue_limit", "How much of them may wait."),
     LEVEL_LISTENER, .write = write_queue_bytes_limit},
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
    if (!get_number(place->object, metric->member, &value))
        return;
    if (metric->family.unit)
        exposition_seconds(out, &place->labels, value);
    else
        exposition_number(out, &place->labels, value);
}

static void write_workers(struct exposition *out, const struct metric *metric,
                          const struct place *slot)
{
    size_t i;
    const json_t *worker;
    json_array_foreach(json_object_get(slot->object, "workers"), i, worker)
    {
        char pid_text[24];
        uint64_t pid;
        struct place place = *slot;
        if (!get_number(worker, "pid", &pid))
            continue;
        (void)snprintf(pid_text, sizeof(pid_text), "%" JSON_INTEGER_FORMAT, (json_int_t)pid);
        add_label(&place, "pid", pid_text);
        place.object = worker;
        place.usage = find_usage(slot->source, worker);
        write_one(out, metric, &place);
    }
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
        if (!get_number(slot, "slot", &number))
            continue;
        (void)snprintf(number_text, sizeof(number_text), "%" JSON_INTEGER_FORMAT,
                       (json_int_t)number);
        add_label(&place, "slot", number_text);
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
        add_label(&place, "program", get_text(program, "name"));
        place.object = program;
        if (metric->level == LEVEL_PROGRAM)
            write_one(out, metric, &place);
        else
            write_slots(out, metric, &place);
    }
}

static void write_helpers(struct exposition *out, const struct metric *metric,
                          const struct place *master)
{
    static const char *const helpers[] = {"logger", "prober"};
    for (size_t i = 0; i < ARRAY_SIZE(helpers); i++) {
        struct place place = *master;
        place.object = json_object_get(master->object, helpers[i]);
        if (!place.object)
            continue;
        add_label(&place, "helper", helpers[i]);
        place.usage = find_usage(master->source, place.object);
        write_one(out, metric, &place);
    }
}

static void write_results(struct exposition *out, const struct metric *metric,
                          const struct place *master)
{
    size_t i;
    const json_t *result;
    json_array_foreach(json_object_get(master->object, "reloads"), i, result)
    {
        struct place place = *master;
        add_label(&place, "result", get_text(result, "result"));
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
        const char *name = get_text(listener, "name");
        ordinal = before && strcmp(before, name) == 0 ? ordinal + 1 : 0;
        before = name;
        (void)snprintf(text, sizeof(text), "%zu", ordinal);
        add_label(&place, "listener", name);
        add_label(&place, "address", get_text(listener, "address"));
        add_label(&place, "socket", text);
        place.object = listener;
        write_one(out, metric, &place);
    }
}

static void write_metric(struct exposition *out, const struct metric *metric,
                         const struct metrics_source *source)
{
    struct place place = {.source = source, .object = json_object_get(source->status, "master")};
    place.usage = find_usage(source, place.object);
    exposition_begin(out, &metric->family);
    if (!source->status && metric->level != LEVEL_GATEWAY)
        return;
    switch (metric->level) {
    case LEVEL_GATEWAY:
    case LEVEL_MASTER:
        write_one(out, metric, &place);
        break;
    case LEVEL_HELPER:
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
