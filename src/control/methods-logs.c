#include "control/methods-logs.h"

#include "base/strv.h"
#include "control/service.h"

#include <errno.h>
#include <string.h>

static void refuse(struct client *client, int r, const char *name)
{
    json_auto_t *names = json_pack("{s:s}", "name", name);
    json_auto_t *reason = json_pack("{s:s}", "reason", strerror(-r));
    if (r == -ENOENT || r == -ESRCH)
        client_error(client,
                     r == -ENOENT ? SERVICE_ERROR_NO_PROGRAM : SERVICE_ERROR_NO_WORKER, names);
    else
        client_error(client, SERVICE_ERROR_FAILED, reason);
}

static int read_names(json_t *list, char ***ret)
{
    json_t *item;
    size_t i;
    int r = 0;
    json_array_foreach(list, i, item) r = r < 0 ? r : strv_append(ret, json_string_value(item));
    return r;
}

void methods_handle_logs(UNUSED const struct command *command, const struct varlink_call *call,
                         struct client *client)
{
    CLEANUP_STRV char **names = NULL;
    const char *stream = json_string_value(json_object_get(call->parameters, "stream"));
    const char *unknown = "";
    json_auto_t *view = NULL;
    uint64_t id = 0;
    if (stream && strcmp(stream, "stdout") != 0 && strcmp(stream, "stderr") != 0) {
        json_auto_t *parameters = json_pack("{s:s}", "parameter", "stream");
        client_error(client, VARLINK_ERROR_INVALID_PARAMETER, parameters);
        return;
    }
    int r = read_names(json_object_get(call->parameters, "programs"), &names);
    const struct control_logs logs = {.names = names, .stream = stream, .follow = call->more};
    if (r == 0)
        r = client_ops(client)->logs(&logs, client_ops_userdata(client), &view, &id, &unknown);
    if (r < 0) {
        refuse(client, r, unknown);
        return;
    }
    client_reply(client, view, call->more);
    if (call->more)
        client_follow(client, id);
}
