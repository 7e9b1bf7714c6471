/* validate-health.h - what `watchdog`, `ready` and `health` of a program need beyond the right types. */
#pragma once

#include "config/checker.h"

/* URLs and addresses are tried out for the first slot. */
void validate_health(struct checker *c);
