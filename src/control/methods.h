/* methods.h - the interfaces of the control socket: their tables, handlers included. */
#pragma once

#include "control/command.h"

extern const struct command_interface *const methods_interfaces[];
extern const size_t methods_n_interfaces;
