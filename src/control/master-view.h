/*
 * master-view.h - the control socket's view of the master: the ops that control.h asks for, and Status as JSON.
 */
#pragma once

#include "control/control.h"
#include "master/master.h"

extern const struct control_ops master_control_ops; /* userdata: the struct master */

/* The parameters of Status' reply; a new reference, NULL when memory is short. */
json_t *master_view_status(const struct master *master);
