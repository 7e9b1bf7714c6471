/*
 * paths.h - absolute paths. Symbolic links stay as they are: `current` shall mean something else after a deployment.
 */
#pragma once

#include "base/macros.h"

/* All: malloc-ed; NULL with errno. */
char *path_join(const char *directory, const char *path);
/* Relative to the current directory. */
char *path_absolute(const char *path);
/* What an absolute path is in: "/etc" of "/etc/fstab", "/" of "/etc". */
char *path_directory(const char *path);
