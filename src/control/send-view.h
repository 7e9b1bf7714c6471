/* send-view.h - messages of operators to workers, and what became of each, for Send. */
#pragma once

#include "control/control.h"

/* As in struct control_ops; userdata: the struct master. */
int send_view(const struct control_send *send, void *userdata, json_t **ret, const char **ret_name);
