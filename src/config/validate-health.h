/* validate-health.h - what `watchdog`, `ready` and `health` of a program need beyond the right types. */
#pragma once

#include "config/expand.h"
#include "config/keys.h"

/* URLs and addresses are tried out with `expansion`, the program's own, for the first slot. */
void validate_health(struct reader *reader, const struct config_program *program,
                     const struct draft *draft, const struct expansion *expansion);
