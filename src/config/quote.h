/*
 * quote.h - text as a YAML scalar that reads back as the very same text.
 */
#pragma once

#include "base/macros.h"

/* Plain where that is safe, else in double quotes. malloc-ed; NULL when memory is short or `text` is no UTF-8. */
char *yaml_quote(const char *text);

/* Doubles each '%', so that expanding gives the text back. malloc-ed or NULL. */
char *percent_double(const char *text);
