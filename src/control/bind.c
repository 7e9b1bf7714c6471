/* The control socket itself. */
#include "control/bind.h"

#include "base/address.h"
#include "base/strv.h"
#include "control/peer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int control_fail(char **ret_error, int r, const char *path, const char *what)
{
    *ret_error = string_format("%s: %s: %s", path, what, strerror(-r));
    return r;
}

/* The socket was made with mode 0600: until here only root and our own user could connect. */
static int set_access(const struct control_settings *settings, char **ret_error)
{
    if (settings->owner.set && lchown(settings->path, settings->owner.id, (gid_t)-1) < 0)
        return control_fail(
            ret_error, -errno, settings->path,
            "the control socket cannot be given to control.owner (only root may give "
            "it away)");
    if (settings->group.set && lchown(settings->path, (uid_t)-1, settings->group.id) < 0)
        return control_fail(
            ret_error, -errno, settings->path,
            "the control socket cannot be given to control.group (only root may give it to a group "
            "that it is not in)");
    if (chmod(settings->path, settings->mode) < 0)
        return control_fail(ret_error, -errno, settings->path,
                            "the control socket's mode cannot be set");
    return 0;
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
    const struct control_settings nobody = {.mode = 0600};
    const struct listener_options options = control_listener_options(&nobody);
    CLEANUP_FREE char *text = string_format("unix:%s", settings->path);
    struct address address;
    const char *reason = "out of memory";
    if (!text || address_parse(text, &address, &reason) < 0) {
        *ret_error = string_format("control.socket %s: %s", settings->path, reason);
        return -EINVAL;
    }
    CLEANUP(listener_unrefp) struct listener *listener = NULL;
    CLEANUP_FREE char *error = NULL;
    pid_t owner;
    int r = listener_new("control", &address, 1, &options, &listener, &error);
    if (r == -EADDRINUSE && peer_of_listener(settings->path, &owner) == 0) {
        *ret_error = string_format(
            "%s: the master with pid %d serves this control socket; stop it with "
            "`reloaderctl -s %s shutdown`, or set another control.socket or runtime_directory",
            settings->path, (int)owner, settings->path);
        return r;
    }
    if (r < 0) {
        *ret_error = error ? TAKE_PTR(error)
                           : string_format("%s: %s", settings->path, strerror(-r));
        return r;
    }
    r = set_access(settings, ret_error);
    if (r < 0)
        return r;
    listener->options = control_listener_options(settings);
    listener->options.name = listener->name;
    *ret = TAKE_PTR(listener);
    return 0;
}
