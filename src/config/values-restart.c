/* When programs are started again, and what belongs together. */
#include "config/values.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/section.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define GROUPS_MAX       16
#define GROUP_LENGTH_MAX 64

/* expected_exit_codes */

static void read_code(struct reader *reader, const struct tree_node *node, uint64_t *codes)
{
    char text[TREE_TEXT_SIZE];
    uint64_t code;
    if (!value_is_scalar(reader, node, "an exit code from 0 to 255"))
        return;
    if (parse_unsigned(node->text, 0, 255, &code) < 0)
        reader_error(reader, &node->place, "%s is wrong here, expected an exit code from 0 to 255",
                     tree_describe(node, text));
    else
        codes[code / 64] |= UINT64_C(1) << code % 64;
}

static void read_codes(struct reader *reader, const struct key *key, const struct tree_node *node,
                       void *object)
{
    uint64_t *codes = (uint64_t *)((char *)object + key->offset);
    for (size_t i = 0; i < value_list_length(node); i++)
        read_code(reader, value_list_item(node, i), codes);
}

static void print_codes(struct printer *printer, const struct key *key, const void *object)
{
    const uint64_t *codes = (const uint64_t *)((const char *)object + key->offset);
    const char *separator = "";
    print_key(printer, key->name);
    (void)fputs(" [", printer->stream);
    for (unsigned code = 0; code < 256; code++)
        if (codes[code / 64] & UINT64_C(1) << code % 64) {
            (void)fprintf(printer->stream, "%s%u", separator, code);
            separator = ", ";
        }
    (void)fputs("]\n", printer->stream);
}

const struct value_type type_exit_codes = {
    .label = "list of numbers", .read = read_codes, .print = print_codes};

/* start_retries */

static int parse_retries(const struct key *key, const char *text, void *field)
{
    uint64_t value = CONFIG_START_RETRIES_UNLIMITED;
    int r = strcmp(text, "unlimited") == 0 ? 0 : parse_unsigned(text, key->min, key->max, &value);
    if (r == 0)
        *(uint32_t *)field = (uint32_t)value;
    return r;
}

static bool format_retries(const struct key *key UNUSED, const void *field,
                           char buffer[VALUE_TEXT_SIZE])
{
    uint32_t value = *(const uint32_t *)field;
    if (value == CONFIG_START_RETRIES_UNLIMITED)
        (void)snprintf(buffer, VALUE_TEXT_SIZE, "unlimited");
    else
        (void)snprintf(buffer, VALUE_TEXT_SIZE, "%" PRIu32, value);
    return true;
}

static void expect_retries(const struct key *key, char buffer[VALUE_TEXT_SIZE])
{
    (void)snprintf(buffer, VALUE_TEXT_SIZE,
                   "a number from %" PRIu64 " to %" PRIu64 ", or unlimited", key->min, key->max);
}

const struct value_type type_retries = {
    .label = "number or unlimited",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_retries,
    .format = format_retries,
    .expect = expect_retries,
};

/* max_restarts */

static void read_max_restarts(struct reader *reader, const struct key *key,
                              const struct tree_node *node, void *object)
{
    struct config_program *program = object;
    program->max_restarts = (struct config_max_restarts){0};
    if (node->type == TREE_SCALAR && strcmp(node->text, "none") == 0)
        return;
    section_read(reader, key->table, node, object);
    if (node->type == TREE_MAPPING)
        section_require(reader, key->table, node);
}

static void print_max_restarts(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    if (program->max_restarts.count > 0) {
        type_section.print(printer, key, object);
        return;
    }
    print_key(printer, key->name);
    (void)fputs(" none\n", printer->stream);
}

const struct value_type type_max_restarts = {.read = read_max_restarts,
                                             .print = print_max_restarts};

/* groups */

static bool is_group_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= GROUP_LENGTH_MAX && strpbrk(name, ":%*, \t\n") == NULL &&
           strcmp(name, "all") != 0;
}

static void read_group(struct reader *reader, const struct tree_node *node, char ***groups)
{
    char text[TREE_TEXT_SIZE];
    if (!value_is_scalar(reader, node, "the name of a group"))
        return;
    if (!is_group_name(node->text))
        reader_error(reader, &node->place,
                     "%s is wrong here, expected the name of a group: at most %d characters, not "
                     "'all', and no colon, asterisk, percent sign, comma or blank among them",
                     tree_describe(node, text), GROUP_LENGTH_MAX);
    else if (strv_contains(*groups, node->text))
        reader_error(reader, &node->place, "'%s' is named twice", node->text);
    else if (strv_append(groups, node->text) < 0)
        reader->errors->no_memory = true;
}

static void read_groups(struct reader *reader, const struct key *key UNUSED,
                        const struct tree_node *node, void *object)
{
    struct config_program *program = object;
    if (value_list_length(node) > GROUPS_MAX)
        reader_error(reader, &node->place, "more than %d groups", GROUPS_MAX);
    else
        for (size_t i = 0; i < value_list_length(node); i++)
            read_group(reader, value_list_item(node, i), &program->groups);
}

static void print_groups(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    print_list(printer, key->name, program->groups);
}

const struct value_type type_groups = {
    .label = "list of names", .read = read_groups, .print = print_groups};
