#include "worker/generation.h"

#include "base/strv.h"
#include "worker/environment.h"

#include <errno.h>
#include <string.h>

/* Conventions by which somebody else handed sockets or channels to the master: a worker must not take them for its own. */
static bool is_of_another_parent(const char *name, size_t length)
{
    static const char *const patterns[] = {
        "LISTEN_PID",    "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID", "LISTEN_FDS_FIRST_FD",
        "NOTIFY_SOCKET", "WATCHDOG_*", "NODE_CHANNEL_*", "NODE_UNIQUE_ID", "SERVER_STARTER_*",
        "EINHORN_*",     "NGINX",      "GUNICORN_*",     "UNICORN_FD",     "PUMA_INHERIT_*",
        "FPM_SOCKETS*",  "RELOADER_*",
    };
    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        size_t n = strlen(patterns[i]);
        if (patterns[i][n - 1] == '*' ? length >= n - 1 && strncmp(name, patterns[i], n - 1) == 0
                                      : length == n && strncmp(name, patterns[i], n) == 0)
            return true;
    }
    return false;
}

static struct generation_habits *habits_unref(struct generation_habits *habits)
{
    if (habits && --habits->references == 0)
        free(habits);
    return NULL;
}

/* As systemd has it: what the master has of its own user is wrong for another one. */
static int set_user_variables(struct generation *generation)
{
    const struct config_account *account = &generation->program->identity.account;
    const struct {
        const char *name, *value;
    } variables[] = {
        {"HOME", account->home},
        {"USER", account->name},
        {"LOGNAME", account->name},
        {"SHELL", account->shell},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(variables); i++)
        if (variables[i].value && *variables[i].value != '\0')
            r = strv_env_set(&generation->environment, variables[i].name, variables[i].value);
    return r;
}

static int take_habits(struct generation *generation, const struct generation *previous)
{
    if (previous && strv_equal(previous->program->command, generation->program->command)) {
        generation->habits = previous->habits;
        generation->habits->references++;
        return 0;
    }
    generation->habits = calloc(1, sizeof(*generation->habits));
    if (!generation->habits)
        return -ENOMEM;
    generation->habits->references = 1;
    return 0;
}

/* As systemd has it: what the file says wins over what the master has, and `environment:` is set on top by each worker. */
static int read_environment_file(struct generation *generation, char **ret_error)
{
    CLEANUP_STRV char **entries = NULL;
    int r = config_read_environment_file(generation->program->environment_file, &entries,
                                         ret_error);
    if (r < 0)
        return r;
    STRV_FOREACH (entry, entries) {
        CLEANUP_FREE char *name = strndup(*entry, strcspn(*entry, "="));
        if (!name)
            return -ENOMEM;
        r = strv_env_set(&generation->environment, name, *entry + strlen(name) + 1);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Now, not when the first worker starts: what a symbolic link names at the reload is what all of its workers get. */
static int hold_directories(struct generation *generation, char **ret_error)
{
    generation->pins = pins_new();
    if (!generation->pins)
        return -ENOMEM;
    for (unsigned slot = 0; slot < generation->program->workers; slot++) {
        CLEANUP_FREE char *directory = NULL;
        int r = worker_make_directory(generation, slot, &directory, ret_error);
        if (r == 0)
            r = pins_hold(generation->pins, directory);
        if (r < 0)
            return r;
    }
    return 0;
}

int generation_new(struct config *config, const struct config_program *program, uint64_t number,
                   const struct generation *previous, char *const *environment,
                   struct generation **ret, char **ret_error)
{
    CLEANUP(generation_unrefp) struct generation *generation = calloc(1, sizeof(*generation));
    if (!generation)
        return -ENOMEM;
    generation->references = 1;
    generation->number = number;
    generation->config = config_ref(config);
    generation->program = program;
    generation->master_environment = environment;

    int r = take_habits(generation, previous);
    if (r == 0 && !program->clear_environment)
        r = strv_copy(environment, &generation->environment);
    if (r < 0)
        return r;
    strv_env_remove_if(generation->environment, is_of_another_parent);
    r = set_user_variables(generation);
    if (r < 0)
        return r;
    if (program->environment_file) {
        r = read_environment_file(generation, ret_error);
        if (r < 0)
            return r;
    }
    r = hold_directories(generation, ret_error);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(generation);
    return 0;
}

int generation_new_absent(struct config *config, const struct config_program *program,
                          struct generation **ret)
{
    CLEANUP(generation_unrefp) struct generation *generation = calloc(1, sizeof(*generation));
    if (!generation)
        return -ENOMEM;
    generation->references = 1;
    generation->config = config_ref(config);
    generation->absent = malloc(sizeof(*generation->absent));
    generation->pins = pins_new();
    if (!generation->absent || !generation->pins)
        return -ENOMEM;
    *generation->absent = *program;
    generation->absent->workers = 0;
    generation->absent->n_sockets = 0;
    generation->program = generation->absent;
    int r = take_habits(generation, NULL);
    if (r == 0)
        r = generation_hand(generation, NULL);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(generation);
    return 0;
}

int generation_again(const struct generation *earlier, uint64_t number, struct generation **ret)
{
    CLEANUP(generation_unrefp) struct generation *generation = calloc(1, sizeof(*generation));
    if (!generation)
        return -ENOMEM;
    generation->references = 1;
    generation->number = number;
    generation->config = config_ref(earlier->config);
    generation->program = earlier->program;
    generation->master_environment = earlier->master_environment;
    generation->pins = pins_ref(earlier->pins);
    generation->habits = earlier->habits;
    generation->habits->references++;
    int r = strv_copy(earlier->environment, &generation->environment);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(generation);
    return 0;
}

int generation_scaled(const struct generation *earlier, struct config *config,
                      const struct config_program *program, struct generation **ret)
{
    int r = generation_again(earlier, earlier->number, ret);
    if (r < 0)
        return r;
    (void)config_unref((*ret)->config);
    (*ret)->config = config_ref(config);
    (*ret)->program = program;
    return 0;
}

int generation_hand(struct generation *generation, struct listener *const *listeners)
{
    size_t n = generation->program->n_sockets;
    generation->listeners = calloc(n + 1, sizeof(struct listener *));
    if (!generation->listeners)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        generation->listeners[i] = listener_ref(listeners[i]);
    return 0;
}

static void drop_listeners(struct generation *generation)
{
    for (size_t i = 0; generation->listeners && generation->listeners[i]; i++)
        (void)listener_unref(generation->listeners[i]);
    free(generation->listeners);
}

/* The names are the caller's to compare; what they stand for may have changed. */
static bool is_same_account(const struct config_account *old, const struct config_account *new)
{
    return old->user.id == new->user.id && old->group.id == new->group.id &&
           old->n_groups == new->n_groups &&
           (old->n_groups == 0 ||
            memcmp(old->groups, new->groups, old->n_groups * sizeof(*old->groups)) == 0);
}

bool generation_is_told_the_same(const struct generation *old, const struct generation *new)
{
    return is_same_account(&old->program->identity.account, &new->program->identity.account) &&
           strv_equal(old->environment, new->environment);
}

bool generation_is_same(const struct generation *old, const struct generation *new)
{
    return generation_is_told_the_same(old, new) && pins_are_same(old->pins, new->pins);
}

struct generation *generation_ref(struct generation *generation)
{
    generation->references++;
    return generation;
}

struct generation *generation_unref(struct generation *generation)
{
    if (!generation || --generation->references > 0)
        return NULL;
    drop_listeners(generation);
    (void)strv_free(generation->environment);
    (void)habits_unref(generation->habits);
    (void)pins_unref(generation->pins);
    free(generation->absent);
    (void)config_unref(generation->config);
    free(generation);
    return NULL;
}
