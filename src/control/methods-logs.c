/* Logs: where output goes, and lines as they are printed. */
#include "base/strv.h"
#include "control/answer.h"
#include "control/handlers.h"

#include <string.h>

void methods_handle_logs(UNUSED const struct command *command, const struct varlink_call *call,
                         struct client *client)
{
    CLEANUP_STRV char **names = NULL;
    const char *stream = json_string_value(json_object_get(call->parameters, "stream"));
    const char *unknown = "";
    json_auto_t *view = NULL;
    uint64_t id = 0;
    if (stream && strcmp(stream, "stdout") != 0 && strcmp(stream, "stderr") != 0) {
        answer_invalid(client, "stream");
        return;
    }
    int r = answer_read_names(json_object_get(call->parameters, "programs"), &names);
    const struct control_logs logs = {.names = names, .stream = stream, .follow = call->more};
    if (r == 0)
        r = client_ops(client)->logs(&logs, client_ops_userdata(client), &view, &id, &unknown);
    if (r < 0) {
        answer_failure(client, r, unknown);
        return;
    }
    client_reply(client, view, call->more);
    if (call->more)
        client_follow(client, id);
}
