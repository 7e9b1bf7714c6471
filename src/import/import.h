/*
 * import.h - what other supervisors are told by their files, as a configuration of reloader's.
 *
 * Read: Supervisor's supervisord.conf with the files that it includes, and qilin-daemon's JSON; which of them it is, is seen by its
 * first character. This runs in a process of its own, as whoever calls it; no master has any of it in its way.
 */
#pragma once

#include "base/macros.h"

#include <stdio.h>

/*
 * Writes YAML that config_load() takes; what could not be translated is in it as comments, *ret_refused of them.
 * 0, or -errno with *ret_error for people (malloc-ed; NULL when memory is short): -EINVAL for what the file says, others are open's
 * and read's. Where no program is left, the comments that say why are written all the same.
 */
int import_file(const char *path, FILE *stream, unsigned *ret_refused, char **ret_error);

/* The same of a text alone. `path` is absolute, for messages and relative paths; nothing is included. */
int import_text(const char *text, size_t size, const char *path, FILE *stream,
                unsigned *ret_refused, char **ret_error);
