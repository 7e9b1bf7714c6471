/* Types of one key each. */
#include "config/values.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/cpus.h"
#include "config/section.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

static int parse_workers(const struct key *key, const char *text, void *object)
{
    struct config_program *program = object;
    uint64_t value;
    if (strcmp(text, "auto") == 0) {
        program->workers = MIN(cpus_available(), (unsigned)key->max);
        return 0;
    }
    int r = parse_unsigned(text, key->min, key->max, &value);
    if (r == 0)
        program->workers = (unsigned)value;
    return r;
}

static bool format_workers(const struct key *key UNUSED, const void *object,
                           char buffer[VALUE_TEXT_SIZE])
{
    const struct config_program *program = object;
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%u", program->workers);
    return true;
}

static void expect_workers(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "a number from %" PRIu64 " to %" PRIu64 ", or auto",
                   key->min, key->max);
}

const struct value_type type_workers = {
    .label = "number or auto",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_workers,
    .format = format_workers,
    .expect = expect_workers,
};

static void read_probation(struct reader *reader, const struct key *key,
                           const struct tree_node *node, void *object)
{
    struct config_program *program = object;
    program->reload.probation_auto = node->type == TREE_SCALAR && strcmp(node->text, "auto") == 0;
    if (program->reload.probation_auto)
        return;
    struct key duration = *key;
    duration.type = &type_duration;
    duration.offset = offsetof(struct config_program, reload.probation_usec);
    type_duration.read(reader, &duration, node, object);
}

static void print_probation(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    char text[DURATION_TEXT_SIZE];
    print_key(printer, key->name);
    print_text(printer, program->reload.probation_auto
                            ? "auto"
                            : duration_to_config(program->reload.probation_usec, text));
    (void)fputc('\n', printer->stream);
}

const struct value_type type_probation = {
    .label = "auto or duration",
    .read = read_probation,
    .print = print_probation,
};

/* The range of the key is that of the number; the share goes up to 100 %. */
static int parse_amount(const struct key *key, const char *text, void *field)
{
    struct config_amount amount = {.percent = true};
    uint64_t value;
    int r = parse_percent(text, &amount.value);
    if (r == 0 && amount.value > 100)
        return -ERANGE;
    if (r == -EINVAL) {
        r = parse_unsigned(text, key->min, key->max, &value);
        if (r == 0)
            amount = (struct config_amount){.value = (unsigned)value};
    }
    if (r == 0)
        *(struct config_amount *)field = amount;
    return r;
}

static bool format_amount(const struct key *key UNUSED, const void *field,
                          char buffer[VALUE_TEXT_SIZE])
{
    const struct config_amount *amount = field;
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%u%s", amount->value, amount->percent ? "%" : "");
    return true;
}

static void expect_amount(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE,
                   "a number from %" PRIu64 " to %" PRIu64 ", or a share of the workers "
                   "from 0%% to 100%%",
                   key->min, key->max);
}

const struct value_type type_amount = {
    .label = "number or percent",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_amount,
    .format = format_amount,
    .expect = expect_amount,
};

static int parse_backlog(const struct key *key, const char *text, void *field)
{
    uint64_t value;
    int r = parse_unsigned(text, key->min, key->max, &value);
    if (r == 0)
        *(int *)field = (int)value;
    return r;
}

static bool format_backlog(const struct key *key UNUSED, const void *field,
                           char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%d", *(const int *)field);
    return *(const int *)field > 0;
}

static void expect_backlog(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "a number from %" PRIu64 " to %" PRIu64, key->min,
                   key->max);
}

const struct value_type type_backlog = {
    .label = "number",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_backlog,
    .format = format_backlog,
    .expect = expect_backlog,
};

static int parse_socket_mode(const struct key *key, const char *text, void *object)
{
    struct config_socket *socket = object;
    int r = type_mode.parse(key, text, &socket->mode);
    if (r == 0)
        socket->mode_set = true;
    return r;
}

static bool format_socket_mode(const struct key *key, const void *object,
                               char buffer[VALUE_TEXT_SIZE])
{
    const struct config_socket *socket = object;
    return type_mode.format(key, &socket->mode, buffer) && socket->mode_set;
}

static void expect_socket_mode(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    type_mode.expect(key, buffer);
}

const struct value_type type_socket_mode = {
    .label = "octal mode",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_socket_mode,
    .format = format_socket_mode,
    .expect = expect_socket_mode,
};
