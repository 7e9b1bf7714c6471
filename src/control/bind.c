/* The control socket itself. */
#include "control/bind.h"

#include "base/address.h"
#include "base/strv.h"
#include "control/peer.h"

#include <errno.h>
#include <string.h>

int control_fail(char **ret_error, int r, const char *path, const char *what)
{
    *ret_error = string_format("%s: %s: %s", path, what, strerror(-r));
    return r;
}

struct listener_options control_listener_options(const struct control_settings *settings)
{
    return (struct listener_options){.backlog = SERVICE_CLIENTS_MAX,
                                     .nonblocking = true,
                                     .mode_set = true,
                                     .mode = settings->mode,
                                     .owner = settings->owner,
                                     .group = settings->group};
}

int control_bind(const struct control_settings *settings, struct listener **ret, char **ret_error)
{
    const struct listener_options options = control_listener_options(settings);
    CLEANUP_FREE char *text = string_format("unix:%s", settings->path);
    struct address address;
    const char *reason = "out of memory";
    if (!text || address_parse(text, &address, &reason) < 0) {
        *ret_error = string_format("control.socket %s: %s", settings->path, reason);
        return -EINVAL;
    }
    CLEANUP_FREE char *error = NULL;
    pid_t owner;
    int r = listener_new("control", &address, 1, &options, ret, &error);
    if (r == -EADDRINUSE && peer_of_listener(settings->path, &owner) == 0) {
        *ret_error = string_format(
            "%s: the master with pid %d serves this control socket; stop it with "
            "`reloaderctl -s %s shutdown`, or set another control.socket or runtime_directory",
            settings->path, (int)owner, settings->path);
        return r;
    }
    if (r < 0)
        *ret_error = error ? TAKE_PTR(error)
                           : string_format("%s: %s", settings->path, strerror(-r));
    return r;
}
