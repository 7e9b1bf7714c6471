/* process-name.h - what a process calls itself. */
#pragma once

#include <sys/types.h>

/* "sleep"; what is not printable is replaced, as it is the process's own word. Malloc-ed; NULL where it is gone or memory is short. */
char *process_name(pid_t pid);
