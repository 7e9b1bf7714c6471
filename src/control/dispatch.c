/* A call: which interface and method it names, whether this client may, and whether its parameters fit. */
#include "control/dispatch.h"

#include "control/handlers.h"
#include "control/methods.h"

#include <errno.h>

static void refuse(struct client *client, const char *error, const char *member, const char *value)
{
    json_auto_t *parameters = json_pack("{s:s}", member, value);
    client_error(client, error, parameters);
}

static void refuse_parameter(struct client *client, const struct varlink_call *call,
                             const char *name, int r)
{
    if (r != -EOPNOTSUPP) {
        refuse(client, VARLINK_ERROR_INVALID_PARAMETER, "parameter", name);
        return;
    }
    json_auto_t *parameters = json_pack("{s:s, s:s}", "method", call->method, "parameter", name);
    client_error(client, CONTROL_ERROR_NOT_IN_THIS_VERSION, parameters);
}

static void run_command(struct client *client, const struct command *command,
                        const struct varlink_call *call)
{
    const char *name = NULL;
    const struct handler *handler = handler_of(command->method);
    if (!handler) {
        refuse(client, CONTROL_ERROR_NOT_IN_THIS_VERSION, "method", call->method);
        return;
    }
    if (client_peer(client)->role < command->role) {
        client_error(client, CONTROL_ERROR_PERMISSION_DENIED, NULL);
        return;
    }
    int r = command_check(command, call->parameters, &name);
    if (r < 0) {
        refuse_parameter(client, call, name, r);
        return;
    }
    if (command->streams && !call->more) {
        client_error(client, VARLINK_ERROR_EXPECTED_MORE, NULL);
        return;
    }
    handler->handle(command, call, client);
}

void dispatch(struct client *client, const struct varlink_call *call)
{
    size_t length;
    const char *name = varlink_method_name(call->method, &length);
    const struct command_interface *interface = command_find_interface(
        methods_interfaces, methods_n_interfaces, call->method, length);
    if (!interface) {
        json_auto_t *parameters = json_pack("{s:s%}", "interface", call->method, length);
        client_error(client, VARLINK_ERROR_INTERFACE_NOT_FOUND, parameters);
        return;
    }
    const struct command *command = command_find(interface, name);
    if (!command)
        refuse(client, VARLINK_ERROR_METHOD_NOT_FOUND, "method", call->method);
    else if (call->upgrade)
        refuse(client, VARLINK_ERROR_METHOD_NOT_IMPLEMENTED, "method", call->method);
    else
        run_command(client, command, call);
    /* Nobody is there to be told. */
    if (call->oneway)
        client_stop_waiting(client);
}
