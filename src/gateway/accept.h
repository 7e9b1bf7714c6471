/* accept.h - what a client accepts, as the Accept headers say it (RFC 9110). Pure. */
#pragma once

#include <stdbool.h>

/* Is it named in that header (NULL: there is none), and not with a weight of 0? What stands for any does not count. */
bool accept_names(const char *header, const char *name);
