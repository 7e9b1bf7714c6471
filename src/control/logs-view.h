/* logs-view.h - where workers' output goes, for Logs. */
#pragma once

#include "control/control.h"

/* As in struct control_ops; userdata: the struct master. */
int logs_view(const struct control_logs *logs, void *userdata, json_t **ret, uint64_t *ret_id,
              const char **ret_name);
void logs_unfollow(uint64_t id, void *userdata);
