#include "worker/environment.h"

#include "base/strv.h"
#include "config/expand.h"
#include "process/spawn.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int find_socket_fd(const char *name, void *userdata)
{
    const struct config_program *program = userdata;
    if (!config_program_inherits(program))
        return -ENXIO;
    for (size_t i = 0; i < program->n_sockets; i++)
        if (strcmp(program->sockets[i]->name, name) == 0)
            return WORKER_FIRST_FD + (int)i;
    return -ENOENT;
}

size_t worker_inherited(const struct config_program *program)
{
    return config_program_inherits(program) ? program->n_sockets : 0;
}

struct scope {
    struct expansion expansion;
    unsigned process_num;
    uint64_t generation;
    char host[256];
};

/* Fills in `scope`, which must not move afterwards: the expansion points into it. */
static void scope_init(struct scope *scope, const struct generation *generation, unsigned slot)
{
    const struct config_program *program = generation->program;
    *scope = (struct scope){
        .process_num = program->numprocs_start + slot,
        .generation = generation->number,
    };
    if (gethostname(scope->host, sizeof(scope->host) - 1) < 0)
        strcpy(scope->host, "localhost");
    scope->expansion = (struct expansion){
        .program_name = program->name,
        .group_name = config_group_name(program),
        .here = program->file->directory,
        .host_node_name = scope->host,
        .process_num = &scope->process_num,
        .generation = &scope->generation,
        .socket_fd = find_socket_fd,
        .userdata = (void *)program,
        .environment = generation->master_environment,
    };
}

static int expand_key(const char *key, const char *text, const struct scope *scope, char **ret,
                      char **ret_error)
{
    CLEANUP_FREE char *reason = NULL;
    int r = expand(text, &scope->expansion, ret, &reason);
    if (r < 0)
        *ret_error = string_format("%s: %s", key, reason ? reason : strerror(-r));
    return r;
}

int worker_make_name(const struct generation *generation, unsigned slot, char **ret,
                     char **ret_error)
{
    struct scope scope;
    scope_init(&scope, generation, slot);
    int r = expand_key("worker_name", generation->program->worker_name, &scope, ret, ret_error);
    if (r == 0)
        string_make_utf8(*ret); /* what a variable brought */
    return r;
}

int worker_make_directory(const struct generation *generation, unsigned slot, char **ret,
                          char **ret_error)
{
    struct scope scope;
    scope_init(&scope, generation, slot);
    return expand_key("directory", generation->program->directory, &scope, ret, ret_error);
}

int worker_make_output_path(const struct generation *generation, unsigned slot,
                            enum config_stream stream, char **ret, char **ret_error)
{
    struct scope scope;
    scope_init(&scope, generation, slot);
    return expand_key(stream == CONFIG_STDOUT ? "stdout.path" : "stderr.path",
                      generation->program->output[stream].path, &scope, ret, ret_error);
}

int worker_make_check_target(const struct generation *generation, unsigned slot, const char *key,
                             const char *text, char **ret, char **ret_error)
{
    struct scope scope;
    scope_init(&scope, generation, slot);
    return expand_key(key, text, &scope, ret, ret_error);
}

static int make_argv(const char *key, char *const *command, const struct scope *scope, char ***ret,
                     char **ret_error)
{
    CLEANUP_STRV char **argv = NULL;
    STRV_FOREACH (word, command) {
        char *text = NULL;
        int r = expand_key(key, *word, scope, &text, ret_error);
        if (r == 0)
            r = strv_consume(&argv, text);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(argv);
    return 0;
}

/* `environment:` wins over what the generation read. */
static int add_configured(const struct generation *generation, const struct scope *scope,
                          char ***envp, char **ret_error)
{
    STRV_FOREACH (entry, generation->program->environment) {
        CLEANUP_FREE char *name = strndup(*entry, strcspn(*entry, "="));
        CLEANUP_FREE char *value = NULL;
        if (!name)
            return -ENOMEM;
        int r = expand_key("environment", *entry + strlen(name) + 1, scope, &value, ret_error);
        if (r == 0)
            r = strv_env_set(envp, name, value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int appended(char **text, const char *separator, const char *more)
{
    char *longer = string_format("%s%s%s", *text, **text ? separator : "", more);
    if (!longer)
        return -ENOMEM;
    free(*text);
    *text = longer;
    return 0;
}

static int append_starter_port(char **ports, const struct listener *listener, unsigned slot, int fd)
{
    const struct listener_socket *socket = listener->sockets[listener->n_sockets == 1 ? 0 : slot];
    CLEANUP_FREE char *key = address_to_starter_key(&socket->address);
    CLEANUP_FREE char *port = key ? string_format("%s=%d", key, fd) : NULL;
    return port ? appended(ports, ";", port) : -ENOMEM;
}

/* What a worker is told by us wins over what is configured: a variable that is there twice is read by some one way, by others the other. */
static int set_number(char ***envp, const char *name, uint64_t number)
{
    CLEANUP_FREE char *text = string_format("%llu", (unsigned long long)number);
    return text ? strv_env_set(envp, name, text) : -ENOMEM;
}

/* The child writes its pid into the room that is kept for it. */
static int set_pid_room(char ***envp, const char *name)
{
    CLEANUP_FREE char *room = string_format("%*s", SPAWN_PID_SIZE, "");
    return room ? strv_env_set(envp, name, room) : -ENOMEM;
}

static int set_listen_variables(size_t n, const char *names, char ***envp)
{
    int r = set_pid_room(envp, "LISTEN_PID");
    if (r == 0)
        r = set_number(envp, "LISTEN_FDS", n);
    if (r == 0)
        r = strv_env_set(envp, "LISTEN_FDNAMES", names);
    return r;
}

/* systemd's and Server::Starter's variables: `handoff: env`. */
static int add_listeners(const struct worker_place *place, char ***envp)
{
    const struct generation *generation = place->generation;
    size_t n = generation->program->n_sockets;
    CLEANUP_FREE char *names = strdup(""), *ports = strdup("");
    if (!names || !ports)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int r = appended(&names, ":", generation->program->sockets[i]->name);
        if (r == 0)
            r = append_starter_port(&ports, generation->listeners[i], place->slot,
                                    WORKER_FIRST_FD + (int)i);
        if (r < 0)
            return r;
    }
    int r = n > 0 ? set_listen_variables(n, names, envp) : 0;
    if (r == 0)
        r = strv_env_set(envp, "SERVER_STARTER_PORT", ports);
    if (r == 0)
        r = set_number(envp, "SERVER_STARTER_GENERATION", place->generation->number);
    return r;
}

/* As systemd's services find it: sd_watchdog_enabled(3). */
static int add_watchdog(const struct config_program *program, char ***envp)
{
    if (program->watchdog_usec == 0)
        return 0;
    int r = set_number(envp, "WATCHDOG_USEC", program->watchdog_usec);
    return r == 0 ? set_pid_room(envp, "WATCHDOG_PID") : r;
}

/* For reloaderctl and whoever else talks to it; what it may do there depends on who it is. */
static int add_control(const struct config *config, char ***envp)
{
    if (!config->control.expose || !config->control.socket)
        return 0;
    return strv_env_set(envp, "RELOADER_CONTROL", config->control.socket);
}

static int add_own(const struct worker_place *place, char ***envp)
{
    const struct config_program *program = place->generation->program;
    size_t channel = WORKER_FIRST_FD + worker_inherited(program);
    int r = strv_env_set(envp, "RELOADER_PROGRAM", program->name);
    if (r == 0)
        r = set_number(envp, "RELOADER_SLOT", place->slot);
    if (r == 0)
        r = set_number(envp, "RELOADER_GENERATION", place->generation->number);
    if (r == 0)
        r = set_number(envp, "RELOADER_CHANNEL_FD", channel);
    if (r == 0)
        r = strv_env_set(envp, "NOTIFY_SOCKET", place->notify_path);
    if (r == 0)
        r = add_watchdog(program, envp);
    if (r == 0 && program->disconnect_spread_usec > 0)
        r = set_number(envp, "RELOADER_DISCONNECT_SPREAD",
                       program->disconnect_spread_usec / USEC_PER_MSEC);
    if (r == 0 && (program->handoff & CONFIG_HANDOFF_SCM_RIGHTS))
        r = set_number(envp, "RELOADER_LISTENERS", program->n_sockets);
    if (r == 0 && (program->handoff & CONFIG_HANDOFF_NODE_IPC)) {
        r = set_number(envp, "NODE_CHANNEL_FD", channel);
        if (r == 0)
            r = strv_env_set(envp, "NODE_CHANNEL_SERIALIZATION_MODE", "json");
    }
    return r;
}

static int make_envp(const struct worker_place *place, const struct scope *scope, char ***ret,
                     char **ret_error)
{
    CLEANUP_STRV char **envp = NULL;
    int r = strv_copy(place->generation->environment, &envp);
    if (r == 0)
        r = add_configured(place->generation, scope, &envp, ret_error);
    if (r == 0)
        r = add_control(place->generation->config, &envp);
    if (r == 0)
        r = add_own(place, &envp);
    if (r == 0 && (place->generation->program->handoff & CONFIG_HANDOFF_ENV))
        r = add_listeners(place, &envp);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(envp);
    return 0;
}

/* Else a LISTEN_PID is somebody's own, and has no room. */
static bool has_pid(const struct config_program *program)
{
    return (program->handoff & CONFIG_HANDOFF_ENV) && program->n_sockets > 0;
}

int worker_make_command(const struct worker_place *place, struct worker_command *ret,
                        char **ret_error)
{
    struct scope scope;
    scope_init(&scope, place->generation, place->slot);
    CLEANUP(worker_command_clear) struct worker_command command = {0};
    int r = make_argv("command", place->generation->program->command, &scope, &command.argv,
                      ret_error);
    if (r == 0)
        r = make_envp(place, &scope, &command.envp, ret_error);
    if (r < 0)
        return r;
    if (has_pid(place->generation->program))
        command.pid_texts[0] = (char *)strv_env_get(command.envp, "LISTEN_PID");
    if (place->generation->program->watchdog_usec > 0)
        command.pid_texts[1] = (char *)strv_env_get(command.envp, "WATCHDOG_PID");
    *ret = command;
    command = (struct worker_command){0};
    return 0;
}

/* %(fd:…)s is refused there by the configuration, but may stand in `environment`. */
static int make_oneshot_envp(const struct generation *generation, const char *event,
                             const struct scope *scope, char ***ret, char **ret_error)
{
    CLEANUP_STRV char **envp = NULL;
    int r = strv_copy(generation->environment, &envp);
    if (r == 0)
        r = add_configured(generation, scope, &envp, ret_error);
    if (r == 0)
        r = strv_env_set(&envp, "RELOADER_PROGRAM", generation->program->name);
    if (r == 0)
        r = set_number(&envp, "RELOADER_GENERATION", generation->number);
    if (r == 0)
        r = add_control(generation->config, &envp);
    if (r == 0 && event)
        r = strv_env_set(&envp, "RELOADER_EVENT", event);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(envp);
    return 0;
}

int worker_make_oneshot(const struct generation *generation, const struct oneshot_command *oneshot,
                        struct worker_command *ret, char **ret_error)
{
    struct scope scope;
    scope_init(&scope, generation, 0);
    CLEANUP(worker_command_clear) struct worker_command command = {0};
    int r = make_argv(oneshot->key, oneshot->words, &scope, &command.argv, ret_error);
    if (r == 0)
        r = make_oneshot_envp(generation, oneshot->event, &scope, &command.envp, ret_error);
    if (r < 0)
        return r;
    *ret = command;
    command = (struct worker_command){0};
    return 0;
}

void worker_command_clear(struct worker_command *command)
{
    command->argv = strv_free(command->argv);
    command->envp = strv_free(command->envp);
    *command = (struct worker_command){0};
}
