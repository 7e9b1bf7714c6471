#include "config/validate-output.h"

#include "config/section.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const stream_names[CONFIG_STREAMS] = {"stdout", "stderr"};

struct checker {
    struct reader *reader;
    const struct draft *draft;
    const struct config_program *program;
    const struct expansion *expansion;
};

#define fail(c, node, what, ...)                                                                   \
    ({                                                                                             \
        const struct tree_node *_node = (node);                                                    \
        char _path[200];                                                                           \
        (void)snprintf(_path, sizeof(_path), "programs.%s.%s", (c)->program->name, (what));        \
        errors_add((c)->reader->errors, _node ? &_node->place : &(c)->draft->key->place, _path,    \
                   __VA_ARGS__);                                                                   \
    })

static void check_path(struct checker *c, const struct config_output *output, const char *stream)
{
    const struct tree_node *section = tree_get(c->draft->value, stream);
    const struct tree_node *node = section && section->type == TREE_MAPPING
                                       ? tree_get(section, "path")
                                       : section;
    char key[40];
    CLEANUP_FREE char *expanded = NULL, *reason = NULL;
    (void)snprintf(key, sizeof(key), "%s.path", stream);
    int r = expand(output->path, c->expansion, &expanded, &reason);
    if (r == -ENOMEM)
        c->reader->errors->no_memory = true;
    else if (r < 0)
        fail(c, node, key, "%s", reason);
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
        fail(c, node, name,
             "with silent: true there is no output to write: leave one of the two out");
    else if (output->path && output->to != CONFIG_OUTPUT_FILE)
        fail(c, node, name, "a path is for files: write to: file, or leave 'path' out");
    else if (!output->path && output->to == CONFIG_OUTPUT_FILE && !c->reader->config->log_directory)
        fail(c, node, name, "no path for the file: set 'path' here, or log_directory at the top");
    else if (output->events && !config_output_is_logged(output) && !c->program->silent)
        fail(c, node, name,
             "with to: %s reloader does not see the lines, and they cannot be events: write another "
             "'to', such as log, or leave 'events' out",
             output->to == CONFIG_OUTPUT_NULL ? "null" : "inherit");
    else if (output->compress && output->backups == 0)
        fail(c, node, name, "with backups: 0 there is nothing to compress: leave one of the two out");
}

static void check_redirect(struct checker *c)
{
    const struct config_output *out = &c->program->output[CONFIG_STDOUT],
                               *err = &c->program->output[CONFIG_STDERR];
    if (c->program->redirect_stderr && (err->to != CONFIG_OUTPUT_INHERIT || err->path) &&
        !(c->program->silent && err->to == out->to))
        fail(c, tree_get(c->draft->value, "stderr"), "stderr",
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

void validate_output(struct reader *reader, struct config_program *program,
                     const struct draft *draft, const struct expansion *expansion)
{
    struct checker checker = {
        .reader = reader, .draft = draft, .program = program, .expansion = expansion};
    for (enum config_stream stream = CONFIG_STDOUT; stream < CONFIG_STREAMS; stream++)
        if (output_says_null(draft->value, stream_names[stream]))
            program->output[stream].to = CONFIG_OUTPUT_NULL;
    for (enum config_stream stream = CONFIG_STDOUT; stream < CONFIG_STREAMS; stream++)
        check_stream(&checker, stream);
    if (!draft->broken)
        check_redirect(&checker);
    for (size_t i = 0; program->silent && i < CONFIG_STREAMS; i++)
        program->output[i].to = CONFIG_OUTPUT_NULL;
}
