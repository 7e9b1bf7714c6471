/* Send: an application's message to its workers. */
#include "base/strv.h"
#include "control/answer.h"
#include "control/handlers.h"

#include <errno.h>

static void refuse(struct client *client, int r, const char *name)
{
    if (r == -EINVAL)
        answer_reason(client, "that is one of reloader's own words to workers; to stop or replace "
                              "them, there are Stop, Restart and Reload");
    else if (r == -EMSGSIZE)
        answer_reason(client, "the message is longer than 64 KiB");
    else
        answer_failure(client, r, name);
}

void methods_handle_send(UNUSED const struct command *command, const struct varlink_call *call,
                         struct client *client)
{
    CLEANUP_STRV char **names = NULL;
    const char *unknown = "";
    json_auto_t *results = NULL;
    int r = answer_read_names(json_object_get(call->parameters, "programs"), &names);
    const struct control_send send = {.names = names,
                                      .message = json_object_get(call->parameters, "message")};
    if (r == 0)
        r = client_ops(client)->send(&send, client_ops_userdata(client), &results, &unknown);
    if (r < 0)
        refuse(client, r, unknown);
    else
        answer(client, json_pack("{s:O}", "results", results));
}
