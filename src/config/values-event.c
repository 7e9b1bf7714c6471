/* on_event: which events a program's hook is run for. */
#include "config/values.h"

#include "config/section.h"
#include "config/suggest.h"

#include <string.h>

/* In the order of enum config_event. */
static const char *const event_words[] = {"fatal",  "crash",  "master", "reload",  "rollout",
                                          "worker", "socket", "job",    "message", NULL};

#define EXPECTED "fatal, crash, master, reload, rollout, worker, socket, job or message"

const char *config_event_to_string(enum config_event event)
{
    for (unsigned i = 0; event_words[i]; i++)
        if (event == 1u << i)
            return event_words[i];
    return "?";
}

/* types */

static void read_type(struct reader *reader, const struct tree_node *node, unsigned *types)
{
    char text[TREE_TEXT_SIZE], buffer[SUGGESTION_TEXT_SIZE];
    if (!value_is_scalar(reader, node, EXPECTED))
        return;
    struct suggestion suggestion;
    suggestion_init(&suggestion, node->text);
    for (unsigned i = 0; event_words[i]; i++) {
        if (strcmp(node->text, event_words[i]) == 0) {
            *types |= 1u << i;
            return;
        }
        suggestion_try(&suggestion, event_words[i]);
    }
    reader_error(reader, &node->place, "%s is wrong here, expected " EXPECTED "%s",
                 tree_describe(node, text), suggestion_to_text(&suggestion, buffer));
}

static void read_types(struct reader *reader, const struct key *key, const struct tree_node *node,
                       void *object)
{
    unsigned *types = (unsigned *)(void *)((char *)object + key->offset);
    if (value_list_length(node) == 0)
        reader_error(reader, &node->place, "empty, expected at least one of " EXPECTED);
    for (size_t i = 0; i < value_list_length(node); i++)
        read_type(reader, value_list_item(node, i), types);
}

static void print_types(struct printer *printer, const struct key *key, const void *object)
{
    const unsigned *types = (const void *)((const char *)object + key->offset);
    char *words[ARRAY_SIZE(event_words)] = {NULL};
    size_t n = 0;
    for (unsigned i = 0; event_words[i]; i++)
        if (*types & (1u << i))
            words[n++] = (char *)(uintptr_t)event_words[i];
    print_list(printer, key->name, words);
}

const struct value_type type_event_types = {
    .label = "list", .read = read_types, .print = print_types};

/* on_event */

static void read_on_event(struct reader *reader, const struct key *key,
                          const struct tree_node *node, void *object)
{
    if (node->type == TREE_SCALAR && strcmp(node->text, "none") == 0)
        return;
    section_read(reader, key->table, node, object);
    if (node->type == TREE_MAPPING)
        section_require(reader, key->table, node);
}

static void print_on_event(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_program *program = object;
    if (program->on_event.types != 0) {
        type_section.print(printer, key, object);
        return;
    }
    print_key(printer, key->name);
    (void)fputs(" none\n", printer->stream);
}

const struct value_type type_on_event = {.read = read_on_event, .print = print_on_event};
