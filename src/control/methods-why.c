/* Why: what workers wait for, which somebody finds out beside the event loop. */
#include "base/strv.h"
#include "control/answer.h"
#include "control/handlers.h"

#include <errno.h>

void methods_handle_why(UNUSED const struct command *command, const struct varlink_call *call,
                        struct client *client)
{
    CLEANUP_STRV char **names = NULL;
    json_t *found = NULL, *list = json_object_get(call->parameters, "programs");
    bool all = json_is_true(json_object_get(call->parameters, "all"));
    const char *unknown = "";
    uint64_t id = 0;
    int r = answer_read_names(list, &names);
    if (r == 0)
        r = client_ops(client)->why(names, all, client_ops_userdata(client), &id, &found, &unknown);
    if (r < 0)
        answer_failure(client, r, unknown);
    else if (id == 0)
        answer(client, found);
    else
        client_wait_for_answer(client, id);
}
