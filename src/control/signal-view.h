/* signal-view.h - Signal's op, as control.h describes it. */
#pragma once

#include "control/control.h"

int signal_view(const struct control_signal *signal, const struct control_peer *peer, void *userdata,
                json_t **ret, const char **ret_name);
