/* methods-logs.h - Logs: where output goes, and lines as they are printed. */
#pragma once

#include "control/command.h"

void methods_handle_logs(const struct command *command, const struct varlink_call *call,
                         struct client *client);
