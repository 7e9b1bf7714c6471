/*
 * stray.h - what is known of a process that nobody here has started: a child that was left to us when its parent died.
 *
 * We are its parent: as long as it is not reaped, its pid is nobody else's.
 */
#pragma once

#include <sys/types.h>

/* Whoever is a descendant of ours and loses its parent becomes our child. 0 or -errno. */
int process_adopt_orphans(void);

/*
 * The value of a variable in the environment that it was executed with, and that most programs leave as it was; malloc-ed.
 * -ENOENT: it has none of that name, -ENODATA: its environment is empty or was overwritten, -EFBIG: it is larger than
 * 256 KiB, or open's own errors.
 */
int process_get_variable(pid_t pid, const char *name, char **ret);
