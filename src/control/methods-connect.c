/* Connect: for who has one connection and needs several. */
#include "control/answer.h"
#include "control/handlers.h"

#include <errno.h>

void methods_handle_connect(UNUSED const struct command *command,
                            UNUSED const struct varlink_call *call, struct client *client)
{
    int fd;
    int r = client_connect(client, &fd);
    if (r == 0)
        client_reply_fd(client, NULL, fd);
    else if (r == -EBUSY)
        client_error(client, CONTROL_ERROR_TOO_MANY_CLIENTS, NULL);
    else
        answer_failure(client, r, NULL);
}
