#include "config/addresses.h"

#include "base/parse.h"
#include "base/strv.h"
#include "config/expand.h"
#include "config/paths.h"
#include "config/quote.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DESCRIPTOR_MAX 65535

static int fail(char **ret_reason, char *reason)
{
    if (!reason)
        return -ENOMEM;
    *ret_reason = reason;
    return -EINVAL;
}

/* A relative path of a Unix socket begins at the directory of the file, as all paths do. */
static char *make_absolute(char *listen, const char *here)
{
    if (!string_starts_with(listen, "unix:") || strchr("/@", listen[5]))
        return listen;
    CLEANUP_FREE char *relative = listen, *path = path_join(here, relative + 5);
    return path ? string_format("unix:%s", path) : NULL;
}

static int expand_listen(const struct config_socket *socket, const struct config_program *program,
                         unsigned slot, char **ret, char **ret_reason)
{
    char host[256] = "";
    if (gethostname(host, sizeof(host) - 1) < 0)
        return -errno;
    unsigned process_num = program ? program->numprocs_start + slot : 0;
    struct expansion known = {.here = socket->file->directory, .host_node_name = host, .environment = environ};
    if (program) {
        known.program_name = program->name;
        known.group_name = config_group_name(program);
        known.process_num = &process_num;
    }
    return expand(socket->listen, &known, ret, ret_reason);
}

int config_resolve_descriptor(const struct config_socket *socket,
                              const struct config_program *program, int *ret, char **ret_reason)
{
    CLEANUP_FREE char *text = NULL;
    uint64_t number;
    *ret = -1;
    int r = expand_listen(socket, program, 0, &text, ret_reason);
    if (r < 0 || !string_starts_with(text, "fd:"))
        return r;
    if (parse_unsigned(text + strlen("fd:"), 0, DESCRIPTOR_MAX, &number) < 0)
        return fail(
            ret_reason,
            string_format("'%.60s': the number of a descriptor is expected behind fd:, 0 or 3 "
                          "to %d",
                          text, DESCRIPTOR_MAX));
    if (number == STDOUT_FILENO || number == STDERR_FILENO)
        return fail(ret_reason, string_format("'%.60s': descriptors 1 and 2 are for output", text));
    *ret = (int)number;
    return 0;
}

int config_resolve_address(const struct config_socket *socket, const struct config_program *program,
                           unsigned slot, struct address *ret, char **ret_reason)
{
    CLEANUP_FREE char *text = NULL;
    const char *reason = NULL;
    int r = expand_listen(socket, program, slot, &text, ret_reason);
    if (r < 0)
        return r;
    if (string_starts_with(text, "fd:"))
        return fail(ret_reason,
                    string_format("'%.60s': a descriptor is one socket for all slots: it cannot be "
                                  "named by %%(process_num)s",
                                  text));
    text = make_absolute(text, socket->file->directory);
    if (!text)
        return -ENOMEM;
    r = address_parse(text, ret, &reason);
    if (r == -EINVAL)
        return fail(
            ret_reason,
            string_format("'%.120s': %s (expected 8080, 127.0.0.1:8080, [::1]:8080, udp:53, "
                          "unix:/path, unix:@name or fd:3)",
                          text, reason));
    return r;
}

char *config_listen_elsewhere(const struct config_socket *socket,
                              const struct config_program *program)
{
    const char *directory = socket->file->directory;
    CLEANUP_FREE char *expanded = NULL, *reason = NULL, *doubled = percent_double(directory);
    CLEANUP_FREE char *listen = expand_here(socket->listen, directory);
    if (!doubled || !listen || expand_listen(socket, program, 0, &expanded, &reason) < 0)
        return NULL;
    /* Only what it expands to tells whether the path is relative. */
    if (string_starts_with(expanded, "unix:") && strchr("/@", expanded[5]))
        return TAKE_PTR(listen);
    return make_absolute(TAKE_PTR(listen), doubled);
}

int config_socket_address(const struct config_socket *socket, const struct config_program *program,
                          unsigned slot, struct address *ret)
{
    CLEANUP_FREE char *reason = NULL;
    if (socket->per_slot)
        return config_resolve_address(socket, program, slot, ret, &reason);
    *ret = socket->address;
    return 0;
}
