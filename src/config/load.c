#include "config/config.h"

#include "base/fd.h"
#include "base/runtime-directory.h"
#include "base/strv.h"
#include "config/files.h"
#include "config/names.h"
#include "config/paths.h"
#include "config/section.h"
#include "config/tree.h"
#include "config/validate.h"
#include "config/values.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define ATTEMPTS_MAX 3

static void socket_free(struct config_socket *socket)
{
    if (!socket)
        return;
    free(socket->name);
    free(socket->listen);
    free(socket);
}

static void account_clear(struct config_account *account)
{
    free(account->user_text);
    free(account->group_text);
    (void)strv_free(account->groups_text);
    free(account->groups);
    free(account->name);
    free(account->home);
    free(account->shell);
}

static void program_free(struct config_program *program)
{
    if (!program)
        return;
    account_clear(&program->identity.account);
    free(program->name);
    (void)strv_free(program->groups);
    (void)strv_free(program->command);
    (void)strv_free(program->reload.check_command);
    (void)strv_free(program->on_event.command);
    (void)strv_free(program->watch_paths);
    (void)strv_free(program->watch_ignore);
    free(program->sockets);
    free(program->worker_name);
    free(program->directory);
    (void)strv_free(program->environment);
    free(program->environment_file);
    free(program->drain_message);
    free(program->ready_check.http);
    free(program->ready_check.tcp);
    free(program->health.check.http);
    free(program->health.check.tcp);
    for (size_t i = 0; i < CONFIG_STREAMS; i++)
        free(program->output[i].path);
    free(program);
}

struct config *config_ref(struct config *config)
{
    config->references++;
    return config;
}

static struct config *free_derived(struct config *config)
{
    for (size_t i = 0; config->programs && i < config->n_programs; i++)
        if (config->programs[i] != config->base->programs[i])
            free(config->programs[i]);
    free(config->programs);
    (void)config_unref(config->base);
    free(config);
    return NULL;
}

struct config *config_unref(struct config *config)
{
    if (!config || --config->references > 0)
        return NULL;
    if (config->base)
        return free_derived(config);
    for (size_t i = 0; i < config->n_sockets; i++)
        socket_free(config->sockets[i]);
    for (size_t i = 0; i < config->n_programs; i++)
        program_free(config->programs[i]);
    free(config->sockets);
    free(config->programs);
    files_free(config);
    account_clear(&config->account);
    free(config->directory);
    (void)strv_free(config->environment);
    free(config->pid_file);
    free(config->process_title);
    free(config->identifier);
    free(config->runtime_directory);
    free(config->log_directory);
    free(config->log.file);
    free(config->control.socket);
    account_clear(&config->gateway.account);
    free(config->gateway.username);
    if (config->gateway.password)
        explicit_bzero(config->gateway.password, strlen(config->gateway.password));
    free(config->gateway.password);
    free(config->gateway.password_file);
    free(config);
    return NULL;
}

static int copy_program(const struct config_program *program, struct config_program **ret)
{
    *ret = malloc(sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    **ret = *program;
    return 0;
}

/* All have one base, however often they are derived. */
int config_with_workers(struct config *config, const struct config_program *program,
                        unsigned workers, struct config **ret)
{
    struct config *base = config->base ? config->base : config;
    CLEANUP_CONFIG struct config *copy = malloc(sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    *copy = *config;
    copy->references = 1;
    copy->base = config_ref(base);
    copy->programs = calloc(config->n_programs + 1, sizeof(*copy->programs));
    if (!copy->programs)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_programs; i++)
        copy->programs[i] = base->programs[i];
    for (size_t i = 0; i < config->n_programs; i++) {
        const struct config_program *from = config->programs[i];
        bool differs = from != base->programs[i] || from == program;
        int r = differs ? copy_program(from, &copy->programs[i]) : 0;
        if (r < 0)
            return r;
        if (from == program)
            copy->programs[i]->workers = workers;
    }
    *ret = TAKE_PTR(copy);
    return 0;
}

static void reader_clear(struct reader *reader)
{
    free(reader->host_node_name);
    free(reader->sockets);
    free(reader->programs);
    free(reader->files);
}

static int config_new(struct config **ret)
{
    struct config *config = calloc(1, sizeof(struct config));
    if (!config)
        return -ENOMEM;
    config->references = 1;
    *ret = config;
    return 0;
}

static int add_main_file(struct reader *reader, const struct config_source *source)
{
    const char *written = source->path ? source->path : source->directory ? source->directory : ".";
    CLEANUP_FREE char *path = path_absolute(written);
    if (!path)
        return errno != 0 ? -errno : -ENOMEM;
    reader->file = files_add(reader, source->path ? path : NULL, path);
    if (!reader->file)
        return -ENOMEM;
    reader->config->path = reader->file->path;
    reader->config->here = reader->file->directory;
    return 0;
}

static const char *name_of(const struct config_source *source)
{
    return source->path ? source->path : source->name ? source->name : "command line";
}

/* The text and what messages call it. */
static int read_source(const struct config_source *source, struct errors *errors, char **ret_text,
                       size_t *ret_size)
{
    if (source->text) {
        *ret_text = strdup(source->text);
        *ret_size = strlen(source->text);
        return *ret_text ? 0 : -ENOMEM;
    }
    int r = fd_read_file(source->path, CONFIG_FILE_SIZE_MAX, ret_text, ret_size);
    if (r < 0 && r != -ENOMEM) {
        struct place place = {.origin = source->path};
        errors_add(errors, &place, NULL, "cannot read the configuration: %s",
                   files_describe_failure(-r));
    }
    return r;
}

static int read_main_file(struct reader *reader, const struct config_source *source)
{
    CLEANUP_FREE char *text = NULL;
    const bool has_lines = source->path || source->name;
    const struct place start = {
        .origin = name_of(source), .line = has_lines ? 1 : 0, .column = has_lines ? 1 : 0};
    int r = read_source(source, reader->errors, &text, &reader->size);
    if (r < 0)
        return r;
    r = tree_parse(reader->tree, text, reader->size, &start, reader->errors, &reader->tree->root);
    explicit_bzero(text, reader->size);
    return r;
}

/* Reads the files that the main one names, and makes one tree of all. */
static int read_included(struct reader *reader)
{
    struct tree_node *root = reader->tree->root;
    if (!tree_get(root, "include"))
        return 0;
    reader->files[0].root = root;
    reader->weight = root->weight;
    section_read_key(reader, &root_table, "include", root, reader->config);
    return reader->errors->no_memory ? -ENOMEM : files_merge(reader);
}

/* --set wins over all files; what it says of `include` has to be known before the others are read. */
static int read_tree(struct reader *reader, const struct config_source *source)
{
    int r = read_main_file(reader, source);
    if (r < 0)
        return r;
    int r_include = files_apply_sets(reader, source->sets, true);
    if (r_include == 0)
        r_include = read_included(reader);
    if (r_include == -ENOMEM)
        return r_include;
    r = files_apply_sets(reader, source->sets, false);
    return r < 0 ? r : r_include;
}

/* A name is in the runtime directory, a path where any path is. */
static char *place_control_socket(struct reader *reader, const char *text)
{
    if (strchr(text, '/'))
        return value_absolute(reader, text);
    return path_join(reader->config->runtime_directory, text);
}

static void finish_control(struct reader *reader, const struct tree_node *root)
{
    struct config *config = reader->config;
    const struct tree_node *mode = tree_get2(root, "control", "mode"),
                           *node = tree_get2(root, "control", "socket");
    const struct place place = node ? node->place : (struct place){.origin = "built-in default"};
    if (!mode)
        config->control.mode = config->control.group.set ? 0660 : 0600;
    if (!config->control.socket)
        return;
    CLEANUP_FREE char *text = TAKE_PTR(config->control.socket);
    if (strcmp(text, "none") == 0)
        return;
    config->control.socket = place_control_socket(reader, text);
    if (!config->control.socket)
        reader->errors->no_memory = true;
    else if (strlen(config->control.socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        errors_add(reader->errors, &place, "control.socket",
                   "'%s' is longer than the 107 bytes that a Unix socket's "
                   "path may have: give a shorter one",
                   config->control.socket);
}

static void finish_watch(struct reader *reader, const struct tree_node *root)
{
    const struct tree_node *node = tree_get(root, "watch_config");
    if (reader->config->watch_config && !reader->config->path && node)
        errors_add(reader->errors, &node->place, "watch_config",
                   "there is no file to watch: the configuration is from the command line");
}

static void finish(struct reader *reader, const struct config_source *source)
{
    const struct tree_node *root = reader->tree->root;
    struct config *config = reader->config;
    config->runtime_directory_default = !config->runtime_directory &&
                                        !tree_get(root, "runtime_directory");
    if (!config->runtime_directory)
        config->runtime_directory = source->runtime_directory ? strdup(source->runtime_directory)
                                                              : runtime_directory_default();
    if (!config->runtime_directory) {
        reader->errors->no_memory = true;
        return;
    }
    finish_control(reader, root);
    finish_watch(reader, root);
    validate_identities(reader);
    validate(reader);
}

static char *host_name(void)
{
    char name[256] = "";
    (void)gethostname(name, sizeof(name) - 1);
    return strdup(name);
}

static int build(struct reader *reader, const struct config_source *source)
{
    const struct tree_node *root = reader->tree->root;
    const struct place top = {.origin = name_of(source)};
    struct scope scope = {.name = "", .place = root ? &root->place : &top};
    reader->scope = &scope;
    section_read(reader, &root_table, root, reader->config);
    if (!reader->errors->no_memory)
        finish(reader, source);
    if (reader->errors->no_memory)
        return -ENOMEM;
    return errors_any(reader->errors) ? -EINVAL : 0;
}

static int load(struct reader *reader, const struct config_source *source)
{
    reader->host_node_name = host_name();
    int r = reader->host_node_name ? add_main_file(reader, source) : -ENOMEM;
    if (r == 0)
        r = read_tree(reader, source);
    /* What can be read is checked even if something else could not be: all errors at once. */
    if (r == 0 || (r == -EINVAL && reader->tree->root)) {
        int r_build = build(reader, source);
        r = r < 0 ? r : r_build;
    }
    return r == 0 && errors_any(reader->errors) ? -EINVAL : r;
}

static int load_with(const struct config_source *source, struct names *names, struct config **ret,
                     char **ret_errors)
{
    CLEANUP_TREE struct tree tree = {0};
    CLEANUP_ERRORS struct errors errors = {0};
    CLEANUP_CONFIG struct config *config = NULL;
    CLEANUP(reader_clear)
    struct reader reader = {.errors = &errors, .tree = &tree, .names = names};
    int r = config_new(&config);
    reader.config = config;
    if (r == 0)
        r = load(&reader, source);
    if (r != -ENOMEM && names_are_wanted(names))
        return -EAGAIN;
    if (r == 0) {
        *ret = TAKE_PTR(config);
        return 0;
    }
    char *text = errors.n > 0 ? errors_to_text(&errors) : string_format("%s\n", strerror(-r));
    *ret_errors = text;
    return r;
}

/* The file may have got other names by the time that those it had are known: not for ever. */
int config_load(const struct config_source *source, struct config **ret, char **ret_errors)
{
    if (source->names)
        return load_with(source, source->names, ret, ret_errors);
    CLEANUP(names_freep) struct names *names = names_new("/etc");
    if (!names)
        return -ENOMEM;
    int r = load_with(source, names, ret, ret_errors);
    for (unsigned i = 0; r == -EAGAIN && i < ATTEMPTS_MAX; i++) {
        names_ask_and_wait(names);
        r = load_with(source, names, ret, ret_errors);
    }
    if (r == -EAGAIN)
        *ret_errors = string_format("%s: changes all the time\n",
                                    source->path ? source->path : "command line");
    return r;
}
