#include "config/validate-output.h"

#include "config/section.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *const stream_names[CONFIG_STREAMS] = {"stdout", "stderr"};

static void check_path(struct checker *c, const struct config_output *output, const char *stream)
{
    const struct tree_node *section = tree_get(c->draft->value, stream);
    const struct tree_node *node = section && section->type == TREE_MAPPING
                                       ? tree_get(section, "path")
                                       : section;
    char key[40];
    (void)snprintf(key, sizeof(key), "%s.path", stream);
    CLEANUP_FREE char *expanded = checker_expand(c, node, key, output->path);
    if (expanded && strlen(expanded) >= PATH_MAX)
        checker_fail(c, node, key, "longer than the path of a file can be (%d characters)",
                     PATH_MAX - 1);
}

static void check_stream(struct checker *c, enum config_stream stream)
{
    const struct config_output *output = &c->program->output[stream];
    const char *name = stream_names[stream];
    const struct tree_node *node = tree_get(c->draft->value, name);
    if (output->path)
        check_path(c, output, name);
    if (c->draft->broken)
        return;
    if (c->program->silent && output->to != CONFIG_OUTPUT_INHERIT &&
        output->to != CONFIG_OUTPUT_NULL)
        checker_fail(c, node, name,
                     "with silent: true there is no output to write: leave one of the two out");
    else if (output->path && output->to != CONFIG_OUTPUT_FILE)
        checker_fail(c, node, name, "a path is for files: write to: file, or leave 'path' out");
    else if (!output->path && output->to == CONFIG_OUTPUT_FILE && !c->reader->config->log_directory)
        checker_fail(c, node, name,
                     "no path for the file: set 'path' here, or log_directory at the top");
    else if (output->events && !config_output_is_logged(output) && !c->program->silent)
        checker_fail(
            c, node, name,
            "with to: %s reloader does not see the lines, and they cannot be events: write another "
            "'to', such as log, or leave 'events' out",
            config_output_to_to_string(output->to));
    else if (output->compress && output->backups == 0)
        checker_fail(c, node, name,
                     "with backups: 0 there is nothing to compress: leave one of the two out");
}

static void check_redirect(struct checker *c)
{
    const struct config_output *out = &c->program->output[CONFIG_STDOUT],
                               *err = &c->program->output[CONFIG_STDERR];
    if (c->program->redirect_stderr && (err->to != CONFIG_OUTPUT_INHERIT || err->path) &&
        !(c->program->silent && err->to == out->to))
        checker_fail(
            c, tree_get(c->draft->value, "stderr"), "stderr",
            "with redirect_stderr: true it goes where stdout goes: leave one of the two out");
}

bool output_says_null(const struct tree_node *mapping, const char *name)
{
    for (size_t i = 0; mapping && mapping->type == TREE_MAPPING && i < mapping->n; i++)
        if (strcmp(mapping->keys[i]->text, name) == 0)
            return mapping->items[i]->type == TREE_SCALAR &&
                   strcmp(mapping->items[i]->text, "null") == 0;
    return false;
}

void validate_output(struct checker *c, struct config_program *program)
{
    for (enum config_stream stream = CONFIG_STDOUT; stream < CONFIG_STREAMS; stream++)
        if (output_says_null(c->draft->value, stream_names[stream]))
            program->output[stream].to = CONFIG_OUTPUT_NULL;
    for (enum config_stream stream = CONFIG_STDOUT; stream < CONFIG_STREAMS; stream++)
        check_stream(c, stream);
    if (!c->draft->broken)
        check_redirect(c);
    for (size_t i = 0; program->silent && i < CONFIG_STREAMS; i++)
        program->output[i].to = CONFIG_OUTPUT_NULL;
}
