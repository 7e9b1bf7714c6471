/*
 * openapi.h - the description of what the gateway serves, as OpenAPI 3.0.3, made of the command table. Pure.
 *
 *   openapi.c             the document, and the methods below /v1/
 *   openapi-components.c  what they share: types, replies, errors, answers that are no success
 *   openapi-paths.c       all other paths
 *
 * 3.0 and not 3.1, as more programs read it, and its JSON Schema comes with distributions, so that we can be measured by it.
 * Schemas of answers allow members that they do not name: a later version may have more.
 */
#pragma once

/* The document as text, to be freed; NULL when memory is short, or if the table cannot be read, which is said to the log. */
char *openapi_make(void);
