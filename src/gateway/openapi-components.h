/* openapi-components.h - the parts of the document to which others refer. For openapi*.c. */
#pragma once

#include <jansson.h>

/* All are NULL when memory is short, or a text cannot be read, which is said to the log. */

/* {"schemas":…, "responses":…, "securitySchemes":…} */
json_t *openapi_components(void);
/* The schema of a type in Varlink's language. */
json_t *openapi_schema(const char *type);
/* Adds the answer of that status, which must be one of openapi_components(), by reference; 0 or -ENOMEM. Status 0 is "default": any other. */
int openapi_add_response(json_t *responses, unsigned status);
/* Adds `value`, which is taken over and may be NULL; 0 or -ENOMEM. */
int openapi_put(json_t *object, const char *name, json_t *value);
