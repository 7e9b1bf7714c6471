/* Signal: a signal to workers. */
#include "base/parse.h"
#include "base/strv.h"
#include "control/answer.h"
#include "control/handlers.h"

void methods_handle_signal(UNUSED const struct command *command, const struct varlink_call *call,
                           struct client *client)
{
    CLEANUP_STRV char **names = NULL;
    const char *unknown = "";
    json_t *results = NULL;
    int number;
    if (parse_signal(json_string_value(json_object_get(call->parameters, "signal")), &number) < 0) {
        answer_invalid(client, "signal");
        return;
    }
    int r = answer_read_names(json_object_get(call->parameters, "programs"), &names);
    const struct control_signal signal = {
        .names = names,
        .number = number,
        .group = json_is_true(json_object_get(call->parameters, "group"))};
    if (r == 0)
        r = client_ops(client)->signal(&signal, client_peer(client), client_ops_userdata(client),
                                       &results, &unknown);
    if (r < 0)
        answer_failure(client, r, unknown);
    else
        answer(client, results);
}
