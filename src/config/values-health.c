/* How a worker shows that it is ready, and healthy: `ready` and `health`, which have checks by HTTP and TCP. */
#include "config/values.h"

#include "base/parse.h"
#include "config/section.h"

#include <string.h>

#define PROGRAM_AT(member) offsetof(struct config_program, member)

/* ready */

static const struct key ready_keys[] = {
    {"after", &type_duration, PROGRAM_AT(ready_after_usec), .min = 1},
    {"http", &type_template, PROGRAM_AT(ready_check.http), .help = "an URL"},
    {"tcp", &type_template, PROGRAM_AT(ready_check.tcp), .help = "an address"},
    {0},
};
static const struct foreign_key check_foreign[] = {
    {"url", "called 'http' here"},
    {"address", "called 'tcp' here"},
    {"port", "called 'tcp' here"},
    {0},
};
static const struct key_table ready_table = {"programs.NAME.ready", ready_keys, check_foreign};

#define READY_EXPECTED "auto, notify, message, {after: DURATION}, {http: URL} or {tcp: ADDRESS}"

static const char *const ready_words[] = {"auto", "notify", "message", NULL};

static void read_ready_section(struct reader *reader, const struct tree_node *node,
                               struct config_program *program)
{
    section_read(reader, &ready_table, node, program);
    program->ready = config_has_check(&program->ready_check) ? CONFIG_READY_CHECK
                                                             : CONFIG_READY_AFTER;
    if (node->n != 1)
        reader_error(reader, &node->place, "expected one of " READY_EXPECTED);
}

static void read_ready(struct reader *reader, const struct key *key UNUSED,
                       const struct tree_node *node, void *object)
{
    struct config_program *program = object;
    char text[TREE_TEXT_SIZE];
    if (node->type == TREE_MAPPING) {
        read_ready_section(reader, node, program);
        return;
    }
    for (unsigned i = 0; node->type == TREE_SCALAR && ready_words[i]; i++)
        if (strcmp(node->text, ready_words[i]) == 0) {
            program->ready = (enum config_ready)i;
            return;
        }
    reader_error(reader, &node->place, "%s is wrong here, expected " READY_EXPECTED,
                 tree_describe(node, text));
}

static void print_ready_key(struct printer *printer, const char *name, const void *object)
{
    const struct key *key = key_find(&ready_table, name);
    (void)fputc('\n', printer->stream);
    printer->indent += 2;
    key->type->print(printer, key, object);
    printer->indent -= 2;
}

static void print_ready(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    print_key(printer, key->name);
    switch (program->ready) {
    case CONFIG_READY_AFTER:
        print_ready_key(printer, "after", object);
        break;
    case CONFIG_READY_CHECK:
        print_ready_key(printer, program->ready_check.http ? "http" : "tcp", object);
        break;
    case CONFIG_READY_AUTO:
    case CONFIG_READY_NOTIFY:
    case CONFIG_READY_MESSAGE:
        (void)fprintf(printer->stream, " %s\n", ready_words[program->ready]);
        break;
    }
}

const struct value_type type_ready = {
    .label = READY_EXPECTED, .read = read_ready, .print = print_ready};

/* health */

static const struct key health_keys[] = {
    {"http", &type_template, PROGRAM_AT(health.check.http), .default_help = "none",
     .help = "an URL that each ready worker answers with a status from 200 to 399, as "
             "\"http://127.0.0.1:%(process_num)s/health\" or http://unix:/run/web.sock:/health"},
    {"tcp", &type_template, PROGRAM_AT(health.check.tcp), .default_help = "none",
     .help = "or an address where it takes connections"},
    {"interval", &type_duration, PROGRAM_AT(health.interval_usec), "10s", .min = 100000,
     .max = 86400 * USEC_PER_SEC, .help = "from one check to the next"},
    {"timeout", &type_duration, PROGRAM_AT(health.timeout_usec), "2s", .min = 10000,
     .max = 3600 * USEC_PER_SEC, .help = "how long an answer may take"},
    {"failures", &type_number, PROGRAM_AT(health.failures), "3", .min = 1, .max = 1000,
     .help = "so many in a row, and the worker is replaced"},
    {0},
};
const struct key_table health_table = {"programs.NAME.health", health_keys, check_foreign};

static void read_health(struct reader *reader, const struct key *key, const struct tree_node *node,
                        void *object)
{
    if (node->type == TREE_SCALAR && strcmp(node->text, "none") == 0)
        return;
    section_read(reader, key->table, node, object);
    if (node->type != TREE_MAPPING)
        return;
    if ((tree_get(node, "http") != NULL) == (tree_get(node, "tcp") != NULL))
        reader_error(reader, &node->place, "expected one of 'http' and 'tcp'");
}

static void print_health(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    print_key(printer, key->name);
    if (!config_has_check(&program->health.check)) {
        (void)fputs(" none\n", printer->stream);
        return;
    }
    const char *unset = program->health.check.http ? "tcp" : "http";
    (void)fputc('\n', printer->stream);
    printer->indent += 2;
    for (const struct key *inner = health_keys; inner->name; inner++)
        if (strcmp(inner->name, unset) != 0)
            inner->type->print(printer, inner, object);
    printer->indent -= 2;
}

const struct value_type type_health = {.read = read_health, .print = print_health};
