/* Values that are more than a member of an object. */
#include "gateway/metrics-internal.h"

#include <inttypes.h>
#include <string.h>

/* Reading Status */

const char *metrics_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

bool metrics_number(const json_t *object, const char *name, uint64_t *ret)
{
    const json_t *number = json_object_get(object, name);
    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(number);
    return true;
}

const struct process_usage *metrics_usage(const struct metrics_source *source, const json_t *object)
{
    uint64_t pid;
    size_t low = 0, high = source->processes->n;
    if (!metrics_number(object, "pid", &pid))
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

void metrics_label(struct place *place, const char *name, const char *value)
{
    place->labels.list[place->labels.n++] = (struct exposition_label){name, value};
}

const json_t *metrics_gateway_slot(const json_t *status)
{
    const json_t *program = json_object_get(json_object_get(status, "gateway"), "program");
    return json_array_get(json_object_get(program, "slots"), 0);
}

/* Samples that are more than one number */

void metrics_write_up(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels, place->source->status != NULL);
}

void metrics_write_connections(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels, place->source->connections);
}

void metrics_write_connections_limit(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels, HTTP_CONNECTIONS_MAX);
}

void metrics_write_version(struct exposition *out, const struct place *place)
{
    struct place of = *place;
    metrics_label(&of, "version", metrics_text(of.object, "version"));
    exposition_number(out, &of.labels, 1);
}

void metrics_write_cpu(struct exposition *out, const struct place *place)
{
    if (place->usage)
        exposition_seconds(out, &place->labels, place->usage->cpu_usec);
}

void metrics_write_memory(struct exposition *out, const struct place *place)
{
    if (place->usage)
        exposition_number(out, &place->labels, place->usage->memory);
}

void metrics_write_start(struct exposition *out, const struct place *place)
{
    uint64_t booted = place->source->processes->booted_usec;
    if (place->usage && booted > 0)
        exposition_seconds(out, &place->labels, booted + place->usage->start_usec);
}

/* 1 for the state it is in and 0 for each other of `known`, so that none is missing when one asks how long it was in it. */
static void write_state(struct exposition *out, const struct place *place, const char *const *known)
{
    const char *state = metrics_text(place->object, "state");
    bool is_known = *state == '\0';
    for (; *known; known++) {
        struct place of = *place;
        bool is = strcmp(*known, state) == 0;
        metrics_label(&of, "state", *known);
        exposition_number(out, &of.labels, is);
        is_known |= is;
    }
    if (is_known)
        return;
    struct place of = *place; /* of a master that is newer than we are */
    metrics_label(&of, "state", state);
    exposition_number(out, &of.labels, 1);
}

void metrics_write_master_state(struct exposition *out, const struct place *place)
{
    static const char *const known[] = {"starting", "running", "reloading", "stopping", NULL};
    write_state(out, place, known);
}

void metrics_write_program_state(struct exposition *out, const struct place *place)
{
    static const char *const known[] = {"STOPPED",   "WAITING",      "STARTING", "PARTIAL", "READY",
                                        "RELOADING", "ROLLING_BACK", "STOPPING", "EXITED",  "FATAL",
                                        NULL};
    write_state(out, place, known);
}

void metrics_write_slot_state(struct exposition *out, const struct place *place)
{
    static const char *const known[] = {"STOPPED", "STARTING", "READY", "DRAINING", "STOPPING",
                                        "BACKOFF", "EXITED",   "FATAL", NULL};
    write_state(out, place, known);
}

void metrics_write_loop_delays(struct exposition *out, const struct place *place)
{
    size_t i;
    const json_t *bucket;
    uint64_t count = 0, sum;
    const json_t *buckets = json_object_get(place->object, "loop_delays");
    if (json_array_size(buckets) == 0 || !metrics_number(place->object, "loop_delay_sum", &sum))
        return;
    json_array_foreach(buckets, i, bucket)
    {
        uint64_t bound = UINT64_MAX;
        (void)metrics_number(bucket, "most_usec", &bound);
        if (metrics_number(bucket, "count", &count))
            exposition_bucket(out, bound, count);
    }
    exposition_bucket_sum(out, count, sum);
}

/* A slot calls them restarts. */
void metrics_write_deaths(struct exposition *out, const struct place *place)
{
    uint64_t n;
    if (metrics_number(place->object, "died", &n) || metrics_number(place->object, "restarts", &n))
        exposition_number(out, &place->labels, n);
}

void metrics_write_reload_runs(struct exposition *out, const struct place *place)
{
    const char *state = metrics_text(json_object_get(place->source->status, "reload"), "state");
    if (*state)
        exposition_number(out, &place->labels,
                          strcmp(state, "none") != 0 && strcmp(state, "ended") != 0);
}

void metrics_write_durations(struct exposition *out, const struct place *place)
{
    uint64_t count, sum;
    if (metrics_number(place->object, "count", &count) &&
        metrics_number(place->object, "duration_usec", &sum))
        exposition_summary(out, &place->labels, count, sum);
}

void metrics_write_strays(struct exposition *out, const struct place *place)
{
    exposition_number(out, &place->labels,
                      json_array_size(json_object_get(place->source->status, "strays")));
}

void metrics_write_draining(struct exposition *out, const struct place *place)
{
    size_t i, j;
    uint64_t n = 0;
    const json_t *slot, *worker;
    json_array_foreach(json_object_get(place->object, "slots"), i, slot)
        json_array_foreach(json_object_get(slot, "workers"), j, worker)
            n += strcmp(metrics_text(worker, "state"), "DRAINING") == 0;
    exposition_number(out, &place->labels, n);
}

/* Status leaves them out where nothing was lost. */
static void write_lost(struct exposition *out, const struct place *place, const char *member)
{
    uint64_t lost = 0;
    (void)metrics_number(json_object_get(place->object, "output"), member, &lost);
    exposition_number(out, &place->labels, lost);
}

void metrics_write_dropped_lines(struct exposition *out, const struct place *place)
{
    write_lost(out, place, "dropped_lines");
}

void metrics_write_dropped_bytes(struct exposition *out, const struct place *place)
{
    write_lost(out, place, "dropped_bytes");
}

void metrics_write_lost_bytes(struct exposition *out, const struct place *place)
{
    write_lost(out, place, "lost_bytes");
}

void metrics_write_worker_info(struct exposition *out, const struct place *place)
{
    char text[24];
    uint64_t generation;
    struct place of = *place;
    if (!metrics_number(of.object, "generation", &generation))
        return;
    (void)snprintf(text, sizeof(text), "%" PRIu64, generation);
    metrics_label(&of, "generation", text);
    exposition_number(out, &of.labels, 1);
}

void metrics_write_healthy(struct exposition *out, const struct place *place)
{
    const char *state = metrics_text(json_object_get(place->object, "health"), "state");
    if (strcmp(state, "healthy") == 0 || strcmp(state, "unhealthy") == 0)
        exposition_number(out, &place->labels, strcmp(state, "healthy") == 0);
}

/* Of UDP queues bytes are counted, of others clients. */
static void write_queue(struct exposition *out, const struct place *place, const char *member,
                        bool of_datagrams)
{
    uint64_t value;
    bool datagrams = strncmp(metrics_text(place->object, "address"), "udp:", 4) == 0;
    if (datagrams == of_datagrams && metrics_number(place->object, member, &value))
        exposition_number(out, &place->labels, value);
}

void metrics_write_queue_length(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "queue", false);
}

void metrics_write_queue_limit(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "backlog", false);
}

void metrics_write_queue_bytes(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "queue", true);
}

void metrics_write_queue_bytes_limit(struct exposition *out, const struct place *place)
{
    write_queue(out, place, "backlog", true);
}
