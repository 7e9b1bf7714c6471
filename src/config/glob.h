/*
 * glob.h - files by a pattern, as a shell finds them: *, ? and [...] in any part of a path.
 *
 * A name that begins with a dot is found only by a part that does. There is no ** and no backslash: a star itself is [*].
 * glob(3) of the C library would do, but for its bounds: it has none.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

#define GLOB_ENTRIES_MAX 20000 /* of directories that are looked at for one pattern */

/* False: it names a single file, glob_to_path(). */
bool glob_is_pattern(const char *pattern);
/* The pattern of exactly this path, and back again. malloc-ed or NULL. */
char *glob_from_path(const char *path);
char *glob_to_path(const char *pattern);

/*
 * The paths that an absolute pattern matches, sorted bytewise; NULL: none. A directory that is not there matches nothing.
 * 0, -ENOMEM, or -errno with the reason for people (malloc-ed): a directory cannot be read, or -E2BIG: too much to look at.
 */
int glob_find(const char *pattern, char ***ret, char **ret_reason);
