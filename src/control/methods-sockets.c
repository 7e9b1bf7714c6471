/* Sockets: the listeners, how they do, and who has them. */
#include "control/answer.h"
#include "control/handlers.h"

void methods_handle_sockets(UNUSED const struct command *command,
                            UNUSED const struct varlink_call *call, struct client *client)
{
    answer(client, client_ops(client)->sockets(client_ops_userdata(client)));
}
