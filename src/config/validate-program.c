/* What the keys of one program have to do with each other. */
#include "config/validate.h"

#include "base/strv.h"
#include "config/expand.h"
#include "config/section.h"
#include "config/validate-health.h"
#include "config/validate-output.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int find_fd(const char *name, void *userdata)
{
    const struct config_program *program = userdata;
    if (!config_program_inherits(program))
        return -ENXIO;
    for (size_t i = 0; i < program->n_sockets; i++)
        if (strcmp(program->sockets[i]->name, name) == 0)
            return 3 + (int)i;
    return -ENOENT;
}

static void prepare_expansion(struct checker *c)
{
    c->generation = 1;
    c->process_num = c->program->numprocs_start;
    c->expansion = (struct expansion){
        .program_name = c->program->name,
        .group_name = config_group_name(c->program),
        .here = c->program->file->directory,
        .host_node_name = c->reader->host_node_name,
        .process_num = &c->process_num,
        .generation = &c->generation,
        .socket_fd = find_fd,
        .userdata = (void *)(uintptr_t)c->program,
        .environment = environ,
    };
}

static void check_template(struct checker *c, const struct tree_node *node, const char *key,
                           const char *text)
{
    free(checker_expand(c, node, key, text));
}

static void check_command(struct checker *c)
{
    const struct tree_node *node = tree_get(c->draft->value, "command");
    size_t i = 0;
    STRV_FOREACH (word, c->program->command) {
        check_template(c, node && node->type == TREE_SEQUENCE ? node->items[i] : node, "command",
                       *word);
        i++;
    }
}

/* Of a command in a section of its own, that gets no sockets. */
static void check_oneshot(struct checker *c, const char *section, const char *name,
                          char *const *command)
{
    const struct tree_node *node = tree_get2(c->draft->value, section, name);
    char key[64];
    size_t i = 0;
    (void)snprintf(key, sizeof(key), "%s.%s", section, name);
    c->expansion.socket_fd = NULL;
    STRV_FOREACH (word, command) {
        check_template(c, node && node->type == TREE_SEQUENCE ? node->items[i] : node, key, *word);
        i++;
    }
    c->expansion.socket_fd = find_fd;
}

static void check_environment(struct checker *c)
{
    const struct tree_node *node = tree_get(c->draft->value, "environment");
    char key[100];
    for (size_t i = 0; node && node->type == TREE_MAPPING && i < node->n; i++) {
        (void)snprintf(key, sizeof(key), "environment.%.64s", node->keys[i]->text);
        if (node->items[i]->type == TREE_SCALAR)
            check_template(c, node->items[i], key, node->items[i]->text);
    }
}

static bool check_is_directory(struct checker *c, const struct tree_node *node, const char *path)
{
    struct stat st;
    int error = stat(path, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (error != 0)
        checker_fail(c, node, "directory", "cannot work in '%.200s': %s", path, strerror(error));
    return error == 0;
}

/* A directory per generation is not there yet; one per slot must be there for each. */
static void check_directory(struct checker *c)
{
    const char *text = c->program->directory;
    const struct tree_node *node = tree_get(c->draft->value, "directory");
    if (!node)
        node = tree_get(c->reader->tree->root, "directory");
    unsigned slots = text && expand_uses(text, "process_num") ? c->program->workers : 1;
    bool good = text != NULL;
    for (unsigned slot = 0; good && slot < slots; slot++) {
        c->process_num = c->program->numprocs_start + slot;
        CLEANUP_FREE char *path = checker_expand(c, node, "directory", text);
        good = path && (expand_uses(text, "generation") || check_is_directory(c, node, path));
    }
    c->process_num = c->program->numprocs_start;
}

static void check_reload(struct checker *c)
{
    const struct config_reload *reload = &c->program->reload;
    const struct tree_node *surge = tree_get2(c->draft->value, "reload", "max_surge");
    const struct tree_node *unavailable = tree_get2(c->draft->value, "reload", "max_unavailable");
    if (reload->canary && reload->max_surge.value == 0)
        checker_fail(c, surge, "reload.max_surge",
                     "a canary is one worker more, so with 0 there is none: set max_surge to at "
                     "least 1, or canary: false");
    if (reload->order == CONFIG_ORDER_READY_FIRST && reload->max_surge.value == 0)
        checker_fail(c, surge, "reload.max_surge",
                     "with order: ready-first a replacement runs beside the old worker: set "
                     "max_surge to at least 1, or order: drain-first");
    if (reload->order == CONFIG_ORDER_DRAIN_FIRST && config_program_ready_first(c->program) &&
        reload->max_surge.value == 0)
        checker_fail(
            c, surge, "reload.max_surge",
            "with sockets of sharing: per_worker a replacement runs beside the old worker, whose "
            "socket it shares: set max_surge to at least 1");
    if (reload->order == CONFIG_ORDER_DRAIN_FIRST && !config_program_ready_first(c->program) &&
        reload->max_unavailable.value == 0)
        checker_fail(c, unavailable, "reload.max_unavailable",
                     "with order: drain-first a worker leaves before its replacement "
                     "is there: set max_unavailable to at least 1, or order: "
                     "ready-first");
}

/* Node takes sockets with a message of its own alone; what comes with another one it drops. */
static void check_scm_rights(struct checker *c)
{
    const struct tree_node *node = tree_get(c->draft->value, "handoff");
    if (!(c->program->handoff & CONFIG_HANDOFF_SCM_RIGHTS))
        return;
    if (c->program->n_sockets == 0)
        checker_fail(
            c, node, "handoff",
            "scm-rights hands over sockets, but there is none: name one by 'sockets' or 'listen'");
    if (c->program->handoff & CONFIG_HANDOFF_NODE_IPC)
        checker_fail(c, node, "handoff",
                     "Node cannot take sockets by scm-rights: let it have env alone");
}

static void check_rest(struct checker *c)
{
    const struct config_program *program = c->program;
    const struct tree_node *value = c->draft->value;
    if (program->backoff.max_usec < program->backoff.initial_usec)
        checker_fail(c, tree_get(value, "backoff"), "backoff",
                     "max is shorter than initial, expected at least as much");
    if ((program->handoff & CONFIG_HANDOFF_STDIN) && program->n_sockets == 0)
        checker_fail(c, tree_get(value, "handoff"), "handoff",
                     "stdin hands over the first socket, but there is none: name "
                     "one by 'sockets' or 'listen'");
    if ((program->handoff & CONFIG_HANDOFF_STDIN) && program->input == CONFIG_INPUT_PIPE)
        checker_fail(c, tree_get(value, "stdin"), "stdin",
                     "pipe, but with handoff: stdin the first socket is there: leave one of the "
                     "two out");
    check_scm_rights(c);
    check_reload(c);
}

static bool is_node(const char *command)
{
    const char *slash = strrchr(command, '/');
    const char *name = slash ? slash + 1 : command;
    return strcmp(name, "node") == 0 || strcmp(name, "nodejs") == 0;
}

/* Defaults that other keys decide. */
static void resolve(struct reader *reader, struct config_program *program,
                    const struct draft *draft)
{
    if (!tree_get(draft->value, "watch_ignore") &&
        config_default_watch_ignore(&program->watch_ignore) < 0)
        reader->errors->no_memory = true;
    if (program->command && is_node(program->command[0]))
        program->handoff |= CONFIG_HANDOFF_NODE_IPC;
    if (program->drain_signal == CONFIG_SIGNAL_UNSET)
        program->drain_signal = program->stop_signal;
    if (!tree_get2(draft->value, "reload", "canary"))
        program->reload.canary = program->n_sockets > 0;
}

void validate_program(struct reader *reader, struct config_program *program,
                      const struct draft *draft)
{
    resolve(reader, program, draft);
    struct checker checker = {.reader = reader, .program = program, .draft = draft};
    prepare_expansion(&checker);
    check_command(&checker);
    check_oneshot(&checker, "reload", "check_command", program->reload.check_command);
    check_oneshot(&checker, "on_event", "command", program->on_event.command);
    check_environment(&checker);
    check_directory(&checker);
    validate_output(&checker, program);
    if (!draft->broken)
        validate_health(&checker);
    /* What goes together can only be said of values that are right by themselves. */
    if (!draft->broken)
        check_rest(&checker);
}
