/* openapi-paths.h - all paths but those of methods. For openapi*.c. */
#pragma once

#include <jansson.h>

#define OPENAPI_TAG_METHODS "methods"

/* 0; or a negative errno when memory is short, or a text cannot be read, which is said to the log. */
int openapi_add_paths(json_t *paths);
/* What operations are sorted by; NULL when memory is short. */
json_t *openapi_tags(void);
