/*
 * quote.h - text as a YAML scalar that reads back as the very same text.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdio.h>

/* Plain where that is safe, else in double quotes. malloc-ed; NULL when memory is short or `text` is no UTF-8. */
char *yaml_quote(const char *text);

/*
 * Closes a stream of open_memstream(). False if memory was short: what the stream wrote to is not to be used then (but to be
 * freed).
 */
bool memory_stream_close(FILE *stream, char *const *text);

/* Doubles each '%', so that expanding gives the text back. malloc-ed or NULL. */
char *percent_double(const char *text);
