/*
 * variables.h - Supervisor's `environment`: KEY="value",KEY2=value2
 *
 * A value has quotes, or consists of letters, digits and _/.+-():%; there are no escapes. Line ends are blanks.
 */
#pragma once

#include "base/macros.h"

/*
 * 0 and "NAME=value" strings in *ret (a strv), or -EINVAL with *ret_reason for people (malloc-ed), or -ENOMEM. Expansions stay
 * in the values.
 */
int variables_parse(const char *text, char ***ret, char **ret_reason);
