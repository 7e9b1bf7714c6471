/*
 * linux-names.h - what people call resource limits and capabilities: "nofile" of RLIMIT_NOFILE, "net_bind_service" of CAP_NET_BIND_SERVICE.
 */
#pragma once

#include "base/macros.h"

/* By its number, RLIMIT_…; "unknown" for one that Linux does not have. */
const char *limit_name(int resource);

#define CAPABILITIES_MAX 64
/* By its number, CAP_…; NULL for one that is not known here. */
const char *capability_name(unsigned capability);
/* With or without "CAP_", in upper or lower case. 0 or -EINVAL. */
int parse_capability(const char *s, unsigned *ret);
