/* Numbers are counted in hundredths from the start, so that what is added up is what is printed; jansson has no way to print two decimals. */
#include "gateway/plain-stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define MEGABYTE ((uint64_t)1 << 20)

struct sums {
    uint64_t cpu, memory; /* hundredths */
};

struct writer {
    FILE *stream;
    plain_look look;
    void *userdata;
    pid_t master;
    struct sums total;
    bool first; /* no worker so far */
};

static void print_hundredths(FILE *stream, const char *name, uint64_t value)
{
    (void)fprintf(stream, ",\"%s\":%" PRIu64 ".%02" PRIu64, name, value / 100, value % 100);
}

static uint64_t hundredths_of_megabytes(uint64_t bytes)
{
    return (bytes / MEGABYTE) * 100 + ((bytes % MEGABYTE) * 100 + MEGABYTE / 2) / MEGABYTE;
}

static void print_process(struct writer *writer, json_int_t pid, const struct usage_sample *sample)
{
    struct sums sums = {.cpu = sample->cpu, .memory = hundredths_of_megabytes(sample->memory)};
    (void)fprintf(writer->stream, "{\"pid\":%" JSON_INTEGER_FORMAT, pid);
    print_hundredths(writer->stream, "cpu", sums.cpu);
    print_hundredths(writer->stream, "mem", sums.memory);
    writer->total.cpu += sums.cpu;
    writer->total.memory += sums.memory;
}

static void print_uptime(FILE *stream, json_int_t usec)
{
    uint64_t seconds = (uint64_t)MAX(usec, (json_int_t)0) / USEC_PER_SEC;
    (void)fprintf(stream,
                  ",\"uptime\":{\"days\":%" PRIu64 ",\"hours\":%" PRIu64 ",\"minutes\":%" PRIu64
                  ",\"seconds\":%" PRIu64 "}}",
                  seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
}

static int print_master(struct writer *writer, json_t *master)
{
    struct usage_sample sample;
    json_int_t pid = json_integer_value(json_object_get(master, "pid"));
    if (pid <= 0 || pid > INT32_MAX)
        return -EBADMSG;
    writer->master = (pid_t)pid;
    int r = writer->look(writer->master, 0, &sample, writer->userdata);
    if (r < 0)
        return r;
    (void)fputs("{\"result\":{\"master\":", writer->stream);
    print_process(writer, pid, &sample);
    print_uptime(writer->stream, json_integer_value(json_object_get(master, "uptime_usec")));
    return 0;
}

static void print_worker(struct writer *writer, json_t *worker)
{
    struct usage_sample sample;
    json_int_t pid = json_integer_value(json_object_get(worker, "pid"));
    if (pid <= 0 || pid > INT32_MAX ||
        writer->look((pid_t)pid, writer->master, &sample, writer->userdata) < 0)
        return;
    if (!writer->first)
        (void)fputc(',', writer->stream);
    writer->first = false;
    print_process(writer, pid, &sample);
    (void)fputc('}', writer->stream);
}

static void print_workers(struct writer *writer, json_t *programs)
{
    json_t *program, *slot, *worker;
    size_t i, j, k;
    json_array_foreach(programs, i, program)
        json_array_foreach(json_object_get(program, "slots"), j, slot)
            json_array_foreach(json_object_get(slot, "workers"), k, worker)
                print_worker(writer, worker);
}

static int print_all(struct writer *writer, json_t *status)
{
    int r = print_master(writer, json_object_get(status, "master"));
    if (r < 0)
        return r;
    (void)fputs(",\"workers\":[", writer->stream);
    print_workers(writer, json_object_get(status, "programs"));
    (void)fprintf(writer->stream,
                  "],\"total\":{\"cpu\":%" PRIu64 ".%02" PRIu64 ",\"mem\":%" PRIu64 ".%02" PRIu64
                  "}}}",
                  writer->total.cpu / 100, writer->total.cpu % 100, writer->total.memory / 100,
                  writer->total.memory % 100);
    return 0;
}

int plain_print_stats(json_t *status, plain_look look, void *userdata, char **ret, size_t *ret_size)
{
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    struct writer writer = {.look = look, .userdata = userdata, .first = true};
    writer.stream = open_memstream(&text, &size);
    if (!writer.stream)
        return -ENOMEM;
    int r = print_all(&writer, status);
    bool failed = ferror(writer.stream);
    if (fclose(writer.stream) != 0 || failed)
        return -ENOMEM;
    if (r < 0)
        return r;
    *ret = TAKE_PTR(text);
    *ret_size = size;
    return 0;
}
