/* methods.h - the interfaces of the control socket: their tables, which need nothing of the house to be read. */
#pragma once

#include "control/command.h"

/* What a row of them is performed by; see handlers.h. */
enum method {
    METHOD_NONE, /* not in this version */
    METHOD_GET_INFO,
    METHOD_GET_INTERFACE_DESCRIPTION,
    METHOD_STATUS,
    METHOD_RELOAD,
    METHOD_UNDO,
    METHOD_START,
    METHOD_STOP,
    METHOD_RESTART,
    METHOD_SCALE,
    METHOD_HISTORY,
    METHOD_LOGS,
    METHOD_WHY,
    METHOD_ATTACH,
    METHOD_CHECK_CONFIG,
    METHOD_SIGNAL,
    METHOD_SOCKETS,
    METHOD_SUBSCRIBE,
    METHOD_SEND,
    METHOD_SHUTDOWN,
    METHOD_VERSION,
    METHOD_CONNECT,
};

extern const struct command_interface *const methods_interfaces[];
extern const size_t methods_n_interfaces;
