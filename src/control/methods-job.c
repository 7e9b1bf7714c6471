/* Start, Stop and Restart: one job for all that a call names. */
#include "base/strv.h"
#include "control/answer.h"
#include "control/handlers.h"

#include <errno.h>

static void refuse_job(struct client *client, int r, const char *name)
{
    if (r == -EBUSY)
        answer_reason(client, "too many starts, stops and restarts are under way already");
    else
        answer_failure(client, r, name);
}

static void run_job(enum control_verb verb, const struct varlink_call *call, struct client *client)
{
    CLEANUP_STRV char **names = NULL;
    const char *unknown = "";
    uint64_t id = 0;
    int r = answer_read_names(json_object_get(call->parameters, "programs"), &names);
    const struct control_job job = {
        .verb = verb,
        .force = json_is_true(json_object_get(call->parameters, "force")),
        .names = names};
    if (r == 0)
        r = client_ops(client)->job(&job, client_peer(client), client_ops_userdata(client), &id,
                                    &unknown);
    if (r < 0) {
        refuse_job(client, r, unknown);
        return;
    }
    if (answer_accepted(client, call, id))
        client_wait_for_job(client, id, call->more);
}

void methods_handle_start(UNUSED const struct command *command, const struct varlink_call *call,
                          struct client *client)
{
    run_job(CONTROL_START, call, client);
}

void methods_handle_stop(UNUSED const struct command *command, const struct varlink_call *call,
                         struct client *client)
{
    run_job(CONTROL_STOP, call, client);
}

void methods_handle_restart(UNUSED const struct command *command, const struct varlink_call *call,
                            struct client *client)
{
    run_job(CONTROL_RESTART, call, client);
}
