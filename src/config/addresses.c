#include "config/addresses.h"

#include "base/strv.h"
#include "config/expand.h"
#include "config/paths.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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
    struct expansion known = {.here = socket->here, .host_node_name = host, .environment = environ};
    if (program) {
        known.program_name = known.group_name = program->name;
        known.process_num = &process_num;
    }
    return expand(socket->listen, &known, ret, ret_reason);
}

int config_resolve_address(const struct config_socket *socket, const struct config_program *program,
                           unsigned slot, struct address *ret, char **ret_reason)
{
    CLEANUP_FREE char *text = NULL;
    const char *reason = NULL;
    int r = expand_listen(socket, program, slot, &text, ret_reason);
    if (r < 0)
        return r;
    if (string_starts_with(text, "udp:") || string_starts_with(text, "fd:"))
        return fail(ret_reason,
                    string_format("'%.60s': %s is not in this version", text,
                                  text[0] == 'u' ? "UDP" : "taking over a file descriptor"));
    text = make_absolute(text, socket->here);
    if (!text)
        return -ENOMEM;
    r = address_parse(text, ret, &reason);
    if (r == -EINVAL)
        return fail(
            ret_reason,
            string_format("'%.120s': %s (expected 8080, 127.0.0.1:8080, [::1]:8080, unix:/path or "
                          "unix:@name)",
                          text, reason));
    return r;
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
