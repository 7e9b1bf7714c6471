/* usage.h - what a process uses, as /proc tells. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Resident memory in bytes, what it shares with others included. 0 or -errno, -ESRCH for one that is gone. */
int process_memory(pid_t pid, uint64_t *ret);
