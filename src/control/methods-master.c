/* What concerns the service and the master as a whole: who serves here, its state and past, its end. */
#include "control/answer.h"
#include "control/handlers.h"
#include "control/methods.h"

#include <string.h>

void methods_handle_get_info(UNUSED const struct command *command,
                             UNUSED const struct varlink_call *call, struct client *client)
{
    json_auto_t *names = json_array();
    for (size_t i = 0; i < methods_n_interfaces; i++)
        (void)json_array_append_new(names, json_string(methods_interfaces[i]->name));
    answer(client,
           json_pack("{s:s, s:s, s:s, s:s, s:O}", "vendor", "reloader", "product", "reloader",
                     "version", RELOADER_VERSION, "url", "", "interfaces", names));
}

void methods_handle_get_interface_description(UNUSED const struct command *command,
                                              const struct varlink_call *call,
                                              struct client *client)
{
    json_t *name = json_object_get(call->parameters, "interface");
    const char *text = json_string_value(name);
    const struct command_interface *interface = command_find_interface(
        methods_interfaces, methods_n_interfaces, text, strlen(text));
    if (!interface) {
        json_auto_t *parameters = json_pack("{s:O}", "interface", name);
        client_error(client, VARLINK_ERROR_INTERFACE_NOT_FOUND, parameters);
        return;
    }
    CLEANUP_FREE char *description = command_describe(interface);
    answer(client, description ? json_pack("{s:s}", "description", description) : NULL);
}

void methods_handle_status(UNUSED const struct command *command,
                           UNUSED const struct varlink_call *call, struct client *client)
{
    answer(client, client_ops(client)->status(client_ops_userdata(client)));
}

void methods_handle_history(UNUSED const struct command *command,
                            UNUSED const struct varlink_call *call, struct client *client)
{
    answer(client, client_ops(client)->history(client_ops_userdata(client)));
}

void methods_handle_shutdown(UNUSED const struct command *command, const struct varlink_call *call,
                             struct client *client)
{
    client_reply(client, NULL, false);
    bool force = json_is_true(json_object_get(call->parameters, "force"));
    client_ops(client)->shutdown(force, client_ops_userdata(client));
}

void methods_handle_version(UNUSED const struct command *command,
                            UNUSED const struct varlink_call *call, struct client *client)
{
    answer(client, json_pack("{s:s}", "version", RELOADER_VERSION));
}
