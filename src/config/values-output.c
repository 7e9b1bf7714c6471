/* `stdout` and `stderr`: a section, or in one word where it goes, or the path of a file. */
#include "config/values.h"

#include "config/section.h"
#include "config/validate-output.h"

#include <string.h>

static struct config_output *output_of(const struct key *key, void *object)
{
    return (void *)((char *)object + key_find(key->table, "to")->offset);
}

static void read_word(struct reader *reader, const struct key *key, const struct tree_node *node,
                      void *object)
{
    bool is_path = strchr(node->text, '/') != NULL;
    if (!is_path && strchr(node->text, '.')) {
        reader_error(
            reader, &node->place,
            "'%.64s' is wrong here, expected inherit, null, file, journal, syslog, log, or "
            "the path of a file, which has a slash, as ./%.64s",
            node->text, node->text);
        return;
    }
    section_read(reader, key->table, NULL, object);
    const struct key *inner = key_find(key->table, is_path ? "path" : "to");
    inner->type->read(reader, inner, node, object);
    if (is_path)
        output_of(key, object)->to = CONFIG_OUTPUT_FILE;
}

static void read_output(struct reader *reader, const struct key *key, const struct tree_node *node,
                        void *object)
{
    if (node && node->type == TREE_SCALAR) {
        read_word(reader, key, node, object);
        return;
    }
    section_read(reader, key->table, node, object);
    if (!node || node->type != TREE_MAPPING)
        return;
    if (output_says_null(node, "to"))
        output_of(key, object)->to = CONFIG_OUTPUT_NULL;
    else if (tree_get(node, "path") && !tree_get(node, "to"))
        output_of(key, object)->to = CONFIG_OUTPUT_FILE;
}

static void print_output(struct printer *printer, const struct key *key, const void *object)
{
    type_section.print(printer, key, object);
}

const struct value_type type_output = {.read = read_output, .print = print_output};
