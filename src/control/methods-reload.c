/* Reload, Undo, CheckConfig and Scale: what makes a reload, or tells what one would do. */
#include "base/strv.h"
#include "control/answer.h"
#include "control/handlers.h"

#include <errno.h>
#include <stdio.h>

static void wait_for_reload(const struct control_reload *wish, const struct varlink_call *call,
                            struct client *client)
{
    uint64_t id = 0;
    int r = client_ops(client)->reload(wish, client_peer(client), client_ops_userdata(client), &id);
    if (r < 0) {
        answer_failure(client, r, NULL);
        return;
    }
    if (answer_accepted(client, call, id))
        client_wait_for_reload(client, id, call->more);
}

void methods_handle_reload(UNUSED const struct command *command, const struct varlink_call *call,
                           struct client *client)
{
    CLEANUP_STRV char **programs = NULL;
    int r = answer_read_names(json_object_get(call->parameters, "programs"), &programs);
    if (r < 0) {
        answer_failure(client, r, NULL);
        return;
    }
    const struct control_reload wish = {
        .changed_only = json_is_true(json_object_get(call->parameters, "changed_only")),
        .programs = programs};
    if (json_is_true(json_object_get(call->parameters, "dry_run")))
        answer(client, client_ops(client)->plan(&wish, client_ops_userdata(client)));
    else
        wait_for_reload(&wish, call, client);
}

void methods_handle_undo(UNUSED const struct command *command, const struct varlink_call *call,
                         struct client *client)
{
    const struct control_reload wish = {.undo = true};
    wait_for_reload(&wish, call, client);
}

void methods_handle_check_config(UNUSED const struct command *command,
                                 UNUSED const struct varlink_call *call, struct client *client)
{
    const struct control_reload wish = {0};
    answer(client, client_ops(client)->plan(&wish, client_ops_userdata(client)));
}

static void refuse_scale(struct client *client, int r, const char *program)
{
    char range[64];
    (void)snprintf(range, sizeof(range), "the number of workers is from 1 to %d",
                   CONFIG_WORKERS_MAX);
    if (r == -ERANGE)
        answer_reason(client, range);
    else if (r == -EBUSY)
        answer_reason(client,
                      "a reload is about, which sets the number of workers itself; try again "
                      "when it has ended");
    else
        answer_failure(client, r, program);
}

void methods_handle_scale(UNUSED const struct command *command, const struct varlink_call *call,
                          struct client *client)
{
    const char *program = json_string_value(json_object_get(call->parameters, "program"));
    json_t *workers = json_object_get(call->parameters, "workers"),
           *by = json_object_get(call->parameters, "by");
    uint64_t id = 0;
    if (json_is_integer(workers) == json_is_integer(by)) {
        answer_invalid(client, by ? "by" : "workers");
        return;
    }
    int r = client_ops(client)->scale(program, json_is_integer(by),
                                      json_integer_value(json_is_integer(by) ? by : workers),
                                      client_peer(client), client_ops_userdata(client), &id);
    if (r < 0)
        refuse_scale(client, r, program);
    else
        client_wait_for_reload(client, id, false);
}
