/*
 * idl.h - Varlink's interface description language (https://varlink.org/Interface-Definition), as far as the command table
 * uses it, to JSON Schema as OpenAPI 3.0 has it. Pure.
 *
 * What it reads is our own, so that a failure is a bug; it is bounded all the same.
 */
#pragma once

#include <jansson.h>

#define IDL_TEXT_MAX  ((size_t)64 * 1024)
#define IDL_DEPTH_MAX 16
#define IDL_NAME_MAX  64

/* What a named type becomes: a reference to this, with its name. */
#define IDL_REFERENCE "#/components/schemas/"

/*
 * The schema of one type: "(version: string)", "[]Socket", "?int". A `?` is understood of a type as a whole and of members, which then are not
 * required; our replies leave absent members out, and know no null. 0; -EINVAL: *ret_where tells where in the text; -ENOMEM.
 */
int idl_read_type(const char *text, json_t **ret, const char **ret_where);

/*
 * All members of that keyword ("type", "error"), and there must be no others: an object of their schemas by their names, in their order. The comment
 * before one is its description. Errors as above.
 */
int idl_read_members(const char *text, const char *keyword, json_t **ret, const char **ret_where);
