/* Subscribe: events as they come. */
#include "control/answer.h"
#include "control/handlers.h"

void methods_handle_subscribe(UNUSED const struct command *command, const struct varlink_call *call,
                              struct client *client)
{
    json_t *types = json_object_get(call->parameters, "types"), *type;
    unsigned set = json_is_array(types) ? 0 : CLIENT_EVENTS_ALL;
    size_t i;
    json_array_foreach(types, i, type)
    {
        unsigned bit = client_event_type(json_string_value(type));
        if (bit == 0) {
            answer_invalid(client, "types");
            return;
        }
        set |= bit;
    }
    client_reply(client, NULL, true);
    client_subscribe(client, set);
}
