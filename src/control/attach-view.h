/* attach-view.h - which worker a name is of, and its input, for Attach. */
#pragma once

#include "control/control.h"

/* As in struct control_ops; userdata: the struct master. */
int attach_view(const struct control_attach *wish, const struct control_peer *peer, void *userdata,
                json_t **ret, int *ret_input_fd);
