/* Attach: to the input of one worker. What is written there never goes through the master. */
#include "base/fd.h"
#include "control/answer.h"
#include "control/handlers.h"

#include <errno.h>

void methods_handle_attach(UNUSED const struct command *command, const struct varlink_call *call,
                           struct client *client)
{
    const struct control_attach wish = {
        .name = json_string_value(json_object_get(call->parameters, "name")),
        .attached = json_integer_value(json_object_get(call->parameters, "attached")),
    };
    json_auto_t *view = NULL;
    CLEANUP_FD int input_fd = -1;
    int r = client_ops(client)->attach(&wish, client_peer(client), client_ops_userdata(client),
                                       &view, &input_fd);
    if (r == 0)
        client_reply_fd(client, view, TAKE_FD(input_fd));
    else if (r == -E2BIG)
        client_error(client, CONTROL_ERROR_NOT_ONE, view);
    else if (r == -ENOTCONN)
        client_error(client, CONTROL_ERROR_NOT_RUNNING, view);
    else
        answer_failure(client, r, wish.name);
}
