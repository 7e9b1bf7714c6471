/* status.h - the line that a worker says of itself, made fit to be shown. */
#pragma once

#include "base/macros.h"

#define STATUS_LENGTH_MAX ((size_t)256)

/*
 * At most STATUS_LENGTH_MAX bytes of `text`, no character cut in two: one line, always UTF-8 (JSON takes nothing else), without
 * control characters (a terminal would obey them); each byte that cannot stay is a question mark. malloc-ed, or NULL when
 * memory is short.
 */
char *status_from_text(const char *text);
