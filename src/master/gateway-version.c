#include "master/gateway-version.h"

#include "base/fd.h"
#include "base/strv.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

/* The kernel's own number for nobody: it needs no name to be looked up. */
#define NOBODY "65534"

void gateway_version_clear(struct gateway_version *version)
{
    if (version->secret)
        explicit_bzero(version->secret, version->secret_size);
    free(version->secret);
    (void)listener_unref(version->listener);
    (void)config_unref(version->own);
    (void)config_unref(version->config);
    *version = (struct gateway_version){0};
}

/* Its program */

static bool is_root_then(const struct config *config)
{
    return config->account.user.set ? config->account.user.id == 0 : geteuid() == 0;
}

static int set_user(json_t *program, const struct config *config)
{
    const struct config_account *account = &config->gateway.account;
    if (!account->user.set)
        return is_root_then(config) ? json_object_set_new(program, "user", json_string(NOBODY)) |
                                          json_object_set_new(program, "group", json_string(NOBODY))
                                    : 0;
    int r = json_object_set_new(program, "user", json_sprintf("%u", (unsigned)account->user.id));
    if (account->group.set)
        r |= json_object_set_new(program, "group", json_sprintf("%u", (unsigned)account->group.id));
    return r;
}

/* What is not to be expanded again: a percent sign is two of them. malloc-ed or NULL. */
static char *escape(const char *text)
{
    char *escaped = text ? malloc(2 * strlen(text) + 1) : NULL, *out = escaped;
    for (const char *c = text; escaped && *c; c++) {
        if (*c == '%')
            *out++ = '%';
        *out++ = *c;
    }
    if (escaped)
        *out = '\0';
    return escaped;
}

/* Its secrets are not in it: they go over the channel. Nor are they, or what clients send, to be in a core file. */
static char *describe(const struct config *config, const char *executable)
{
    CLEANUP_FREE char *text = address_to_text(&config->gateway.address);
    CLEANUP_FREE char *address = escape(text), *command = escape(executable),
                      *directory = escape(config->runtime_directory);
    if (!address || !command || !directory)
        return NULL;
    json_auto_t *program = json_pack("{s:[s], s:[s], s:s, s:b, s:b, s:s, s:s, s:s, s:s, s:{s:i}}",
                                     "command", command, "sockets", "gateway", "directory", "/",
                                     "clear_environment", 1, "no_new_privileges", 1, "ready",
                                     "message", "start_timeout", "10s", "disconnect_timeout", "10s",
                                     "stop_timeout", "5s", "limits", "core", 0);
    if (!program || set_user(program, config) < 0)
        return NULL;
    json_auto_t *all = json_pack("{s:s, s:{s:{s:s, s:b}}, s:{s:O}}", "runtime_directory", directory,
                                 "sockets", "gateway", "listen", address, "nonblocking", 1,
                                 "programs", GATEWAY_NAME, program);
    return all ? json_dumps(all, 0) : NULL;
}

static int make_own(const struct config *config, const char *executable, struct config **ret,
                    char **ret_error)
{
    CLEANUP_FREE char *text = describe(config, executable);
    if (!text)
        return -ENOMEM;
    const struct config_source source = {.text = text, .name = GATEWAY_NAME, .directory = "/"};
    int r = config_load(&source, ret, ret_error);
    if (r < 0 && *ret_error)
        (*ret_error)[strcspn(*ret_error, "\n")] = '\0';
    return r;
}

/* What it is given */

static int read_secret(const struct config_gateway *gateway, struct gateway_version *version,
                       char **ret_error)
{
    if (gateway->password) {
        version->secret = strdup(gateway->password);
        version->secret_size = strlen(gateway->password);
        return version->secret ? 0 : -ENOMEM;
    }
    if (!gateway->password_file)
        return 0;
    int r = fd_read_file(gateway->password_file, GATEWAY_SECRET_MAX, &version->secret,
                         &version->secret_size);
    if (r < 0)
        *ret_error = string_format("cannot read gateway.password_file %s: %s",
                                   gateway->password_file, strerror(-r));
    return r;
}

/* Without a password whoever can connect may do everything: that is as many as may do so on the control socket. */
static struct listener_options socket_options(const struct config *config)
{
    struct listener_options options = {.nonblocking = true, .mode_set = true, .mode = 0666};
    if (config->gateway.username)
        return options;
    options.mode = config->control.group.set ? 0660 : 0600;
    options.owner = config->control.owner;
    options.group = config->control.group;
    return options;
}

int gateway_version_open(const struct gateway_version *version, char **ret_error)
{
    const struct listener_options options = socket_options(version->config);
    CLEANUP_FREE char *warning = NULL;
    return listener_change(version->listener, "gateway", &options, &warning, ret_error);
}

/* As long as one that asks for no password serves, who may connect is who may do so without. */
static int bind_it(const struct config *config, const struct gateway_version *known,
                   struct gateway_version *version, char **ret_error)
{
    const struct address *address = &config->gateway.address;
    const struct listener_options options = socket_options(config);
    if (!known || !known->listener || !listener_find(known->listener, address))
        return listener_new("gateway", address, 1, &options, &version->listener, ret_error);
    version->listener = listener_ref(known->listener);
    if (config->gateway.username && !known->config->gateway.username)
        return listener_try_change(version->listener, &options, ret_error);
    return gateway_version_open(version, ret_error);
}

int gateway_version_make(struct config *config, const struct gateway_version *known,
                         const char *executable, struct gateway_version *ret, char **ret_error)
{
    CLEANUP(gateway_version_clear) struct gateway_version version = {.config = config_ref(config)};
    int r = read_secret(&config->gateway, &version, ret_error);
    if (r == 0)
        r = make_own(config, executable, &version.own, ret_error);
    if (r == 0)
        r = bind_it(config, known, &version, ret_error);
    if (r < 0)
        return r;
    *ret = version;
    version = (struct gateway_version){0};
    return 0;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_id(const struct config_id *a, const struct config_id *b)
{
    return a->set == b->set && (!a->set || a->id == b->id);
}

static bool is_same_secret(const struct gateway_version *a, const struct gateway_version *b)
{
    return a->secret_size == b->secret_size && !a->secret == !b->secret &&
           (!a->secret || memcmp(a->secret, b->secret, a->secret_size) == 0);
}

bool gateway_version_is_same(const struct gateway_version *a, const struct gateway_version *b)
{
    const struct config_gateway *left = &a->config->gateway, *right = &b->config->gateway;
    return a->listener == b->listener && is_same_text(left->username, right->username) &&
           left->public == right->public && is_same_secret(a, b) &&
           is_same_id(&left->account.user, &right->account.user) &&
           is_same_id(&left->account.group, &right->account.group);
}

/* Its text is read, compared, and forgotten. */
char *gateway_version_describe_secret(const struct gateway_version *known,
                                      const struct config_gateway *section)
{
    CLEANUP(gateway_version_clear) struct gateway_version read = {0};
    const char *path = section->password_file, *was = known->config->gateway.password_file;
    CLEANUP_FREE char *error = NULL;
    if (!section->is_on || !path)
        return NULL;
    int r = read_secret(section, &read, &error);
    if (r < 0)
        return string_format("gateway.password_file: %s; the gateway stays as it is",
                             error ? error : strerror(-r));
    if (!is_same_text(path, was) || is_same_secret(known, &read))
        return NULL;
    return strdup("gateway.password_file: what is in the file has changed");
}

int gateway_version_generation(const struct gateway_version *version, uint64_t number,
                               char *const *environment, struct generation **ret, char **ret_error)
{
    CLEANUP(generation_unrefp) struct generation *generation = NULL;
    int r = generation_new(version->own, version->own->programs[0], number, NULL, environment,
                           &generation, ret_error);
    if (r == 0)
        r = generation_hand(generation, &version->listener);
    if (r == 0)
        *ret = TAKE_PTR(generation);
    return r;
}
