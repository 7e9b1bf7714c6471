/* bind.h - the control socket itself. For this folder. */
#pragma once

#include "control/control.h"
#include "control/service.h"
#include "net/listener.h"

struct listener_options control_listener_options(const struct control_settings *settings);
/* Binds settings->path. 0 or -errno with *ret_error, as control_new(). */
int control_bind(const struct control_settings *settings, struct listener **ret, char **ret_error);
/* Says which path and what; returns r. */
int control_fail(char **ret_error, int r, const char *path, const char *what);
