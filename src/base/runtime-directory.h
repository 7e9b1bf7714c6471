/*
 * runtime-directory.h - where a master keeps its control socket unless it is told otherwise, and so where others look.
 */
#pragma once

#include "base/macros.h"

/*
 * The default of runtime_directory for this process: /run/reloader as root, else $XDG_RUNTIME_DIR/reloader, else
 * reloader-UID under $TMPDIR or /tmp. malloc-ed or NULL when memory is short.
 */
char *runtime_directory_default(void);

/*
 * Every directory in which a master may be that this user may command, likeliest first: the default, the one for masters
 * that were started without XDG_RUNTIME_DIR (by su, cron …), and root's. 0 and a strv, or -ENOMEM.
 */
int runtime_directory_candidates(char ***ret);
