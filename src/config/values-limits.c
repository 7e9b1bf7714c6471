/* What a process may use, and how it is scheduled. A limit is one value, or SOFT:HARD. */
#include "config/values.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/section.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Limits. A key's `min` says what their values are. */

static int parse_limit_size(const char *text, rlim_t *ret)
{
    uint64_t value;
    int r = parse_size(text, &value);
    if (r == 0 && value == RLIM_INFINITY)
        r = -ERANGE;
    if (r == 0)
        *ret = value;
    return r;
}

/* The kernel counts seconds, or microseconds. */
static int parse_limit_time(const char *text, uint64_t unit_usec, rlim_t *ret)
{
    uint64_t usec;
    int r = parse_duration(text, &usec);
    if (r < 0)
        return r;
    if (usec < unit_usec || usec % unit_usec != 0)
        return -ERANGE;
    *ret = usec / unit_usec;
    return 0;
}

static int parse_limit_value(const struct key *key, const char *text, rlim_t *ret)
{
    uint64_t value;
    int r = -EINVAL;
    if (strcmp(text, "unlimited") == 0 || strcmp(text, "infinity") == 0) {
        *ret = RLIM_INFINITY;
        return 0;
    }
    switch ((enum limit_unit)key->min) {
    case LIMIT_NUMBER:
        r = parse_unsigned(text, 0, key->max, &value);
        if (r == 0)
            *ret = value;
        break;
    case LIMIT_BYTES:
        r = parse_limit_size(text, ret);
        break;
    case LIMIT_SECONDS:
        r = parse_limit_time(text, USEC_PER_SEC, ret);
        break;
    case LIMIT_MICROSECONDS:
        r = parse_limit_time(text, 1, ret);
        break;
    }
    return r;
}

static int parse_limit(const struct key *key, const char *text, void *field)
{
    struct config_limit limit = {.set = true};
    const char *colon = strchr(text, ':');
    CLEANUP_FREE char *soft = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
    if (!soft)
        return -ENOMEM;
    int r = parse_limit_value(key, soft, &limit.soft);
    limit.hard = limit.soft;
    if (r == 0 && colon)
        r = parse_limit_value(key, colon + 1, &limit.hard);
    if (r == 0 && limit.soft > limit.hard)
        r = -ERANGE;
    if (r == 0)
        *(struct config_limit *)field = limit;
    return r;
}

static void format_limit_value(const struct key *key, rlim_t value, char *buffer, size_t size)
{
    char text[DURATION_TEXT_SIZE];
    if (value == RLIM_INFINITY) {
        (void)snprintf(buffer, size, "unlimited");
        return;
    }
    switch ((enum limit_unit)key->min) {
    case LIMIT_NUMBER:
    case LIMIT_BYTES:
        (void)snprintf(buffer, size, "%" PRIu64, (uint64_t)value);
        break;
    case LIMIT_SECONDS:
        (void)snprintf(buffer, size, "%s", duration_to_config(value * USEC_PER_SEC, text));
        break;
    case LIMIT_MICROSECONDS:
        (void)snprintf(buffer, size, "%s", duration_to_config(value, text));
        break;
    }
}

static bool format_limit(const struct key *key, const void *field, char buffer[VALUE_TEXT_SIZE])
{
    const struct config_limit *limit = field;
    char soft[64], hard[64];
    format_limit_value(key, limit->soft, soft, sizeof(soft));
    format_limit_value(key, limit->hard, hard, sizeof(hard));
    (void)snprintf(buffer, VALUE_TEXT_SIZE, limit->soft == limit->hard ? "%s" : "%s:%s", soft,
                   hard);
    return limit->set;
}

static void expect_limit(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    char number[64];
    const char *what = number;
    (void)snprintf(number, sizeof(number), "a number up to %" PRIu64, key->max);
    switch ((enum limit_unit)key->min) {
    case LIMIT_NUMBER:
        break;
    case LIMIT_BYTES:
        what = "a size, as 512M";
        break;
    case LIMIT_SECONDS:
        what = "a duration of whole seconds, as 60s";
        break;
    case LIMIT_MICROSECONDS:
        what = "a duration, as 200ms";
        break;
    }
    (void)snprintf(buffer, VALUE_TEXT_SIZE,
                   "%s, or unlimited; or two of them, SOFT:HARD, the "
                   "first no larger than the second",
                   what);
}

const struct value_type type_limit = {
    .label = "limit",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_limit,
    .format = format_limit,
    .expect = expect_limit,
};

/* A number below zero, perhaps: the range of the key is one of int64_t. */

static int parse_integer(const struct key *key, const char *text, void *field)
{
    uint64_t magnitude;
    const bool negative = *text == '-';
    int r = parse_unsigned(text + negative, 0, INT32_MAX, &magnitude);
    if (r < 0)
        return r;
    int value = negative ? -(int)magnitude : (int)magnitude;
    if (value < (int64_t)key->min || value > (int64_t)key->max)
        return -ERANGE;
    *(struct config_integer *)field = (struct config_integer){.set = true, .value = value};
    return 0;
}

static bool format_integer(const struct key *key UNUSED, const void *field,
                           char buffer[VALUE_TEXT_SIZE])
{
    const struct config_integer *integer = field;
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%d", integer->value);
    return integer->set;
}

static void expect_integer(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "a number from %" PRId64 " to %" PRId64,
                   (int64_t)key->min, (int64_t)key->max);
}

const struct value_type type_integer = {
    .label = "number",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_integer,
    .format = format_integer,
    .expect = expect_integer,
};

static int parse_umask(const struct key *key, const char *text, void *field)
{
    mode_t mask;
    int r = type_mode.parse(key, text, &mask);
    if (r == 0)
        *(struct config_umask *)field = (struct config_umask){.set = true, .mask = mask};
    return r;
}

static bool format_umask(const struct key *key, const void *field, char buffer[VALUE_TEXT_SIZE])
{
    const struct config_umask *umask = field;
    return type_mode.format(key, &umask->mask, buffer) && umask->set;
}

static void expect_umask(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    type_mode.expect(key, buffer);
}

const struct value_type type_umask = {
    .label = "octal mode",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_umask,
    .format = format_umask,
    .expect = expect_umask,
};

/* CPUs */

static const char cpus_expected[] = "per_worker, or CPUs, as [0, 1] or [0-3]";

static int parse_cpu_range(const char *text, uint64_t *ret_first, uint64_t *ret_last)
{
    const char *dash = strchr(text, '-');
    CLEANUP_FREE char *first = strndup(text, dash ? (size_t)(dash - text) : strlen(text));
    if (!first)
        return -ENOMEM;
    int r = parse_unsigned(first, 0, CPU_SETSIZE - 1, ret_first);
    *ret_last = r == 0 ? *ret_first : 0;
    if (r == 0 && dash)
        r = parse_unsigned(dash + 1, *ret_first, CPU_SETSIZE - 1, ret_last);
    return r;
}

static void read_cpus(struct reader *reader, const struct tree_node *node, cpu_set_t *cpus)
{
    char text[TREE_TEXT_SIZE];
    uint64_t first, last;
    if (!value_is_scalar(reader, node, cpus_expected))
        return;
    int r = parse_cpu_range(node->text, &first, &last);
    if (r == -ENOMEM)
        reader->errors->no_memory = true;
    else if (r < 0)
        reader_error(reader, &node->place, "%s is %s, expected %s", tree_describe(node, text),
                     r == -ERANGE ? "out of range" : "wrong here", cpus_expected);
    for (uint64_t cpu = first; r == 0 && cpu <= last; cpu++)
        CPU_SET(cpu, cpus);
}

static void read_affinity(struct reader *reader, const struct key *key,
                          const struct tree_node *node, void *object)
{
    struct config_affinity *field = (void *)((char *)object + key->offset);
    CPU_ZERO(&field->cpus);
    if (node->type == TREE_SCALAR && strcmp(node->text, "per_worker") == 0) {
        field->kind = CONFIG_AFFINITY_PER_WORKER;
        return;
    }
    field->kind = CONFIG_AFFINITY_LIST;
    if (value_list_length(node) == 0)
        reader_error(reader, &node->place, "empty, expected %s", cpus_expected);
    for (size_t i = 0; i < value_list_length(node); i++)
        read_cpus(reader, value_list_item(node, i), &field->cpus);
}

static void print_cpus(FILE *stream, const cpu_set_t *cpus)
{
    const char *separator = "";
    for (size_t first = 0; first < CPU_SETSIZE; first++) {
        size_t last = first;
        if (!CPU_ISSET(first, cpus))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
            last++;
        (void)fprintf(stream, last > first ? "%s%zu-%zu" : "%s%zu", separator, first, last);
        separator = ", ";
        first = last;
    }
}

static void print_affinity(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_affinity *field = (const void *)((const char *)object + key->offset);
    print_key(printer, key->name);
    switch (field->kind) {
    case CONFIG_AFFINITY_UNSET:
        (void)fputs(" null\n", printer->stream);
        break;
    case CONFIG_AFFINITY_PER_WORKER:
        (void)fputs(" per_worker\n", printer->stream);
        break;
    case CONFIG_AFFINITY_LIST:
        (void)fputs(" [", printer->stream);
        print_cpus(printer->stream, &field->cpus);
        (void)fputs("]\n", printer->stream);
        break;
    }
}

const struct value_type type_affinity = {
    .label = "per_worker or list", .read = read_affinity, .print = print_affinity};
