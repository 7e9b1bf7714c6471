/*
 * numbers.h - what the processes of a status use. Read here from /proc and sock_diag, as whoever asks: a master has privileges
 * and a loop to keep free.
 *
 * Members that are added to each worker, to `master` and to its `logger`, each where we may read it:
 *   uptime_usec, start_usec   since when it is there; and the latter by the clock that began when the machine did; with the pid it names a process
 *   cpu, cpu_usec             percent of one CPU on average since then, and the CPU time that is
 *   memory, pss               resident bytes, with all and with its part of what is shared (only if asked for)
 *   fds                       open descriptors
 *   connections               of workers: accepted and open ones at addresses where somebody listens
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * `peer` is who the kernel says is at the other end. Where that is not the pid which the status tells, its pids mean other processes here
 * (another pid namespace), and nothing is added.
 */
void numbers_add(json_t *status, pid_t peer, bool pss);

/* CPU time within a time, in percent of one CPU; with two decimals. */
double numbers_percent(uint64_t cpu_usec, uint64_t elapsed_usec);
