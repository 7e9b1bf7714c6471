/*
 * recycle.h - workers that have grown too old or too large are marked as worn, and replaced as rollout.h says.
 *
 * A program with such limits has a timer while a worker is ready: it looks at memory every RECYCLE_LOOK_USEC, and at ages when the next
 * one is due. Programs without cost nothing. Memory is that of the worker's own process, without its children.
 */
#pragma once

#include "program/program.h"

#define RECYCLE_LOOK_USEC (5 * USEC_PER_SEC)

/* When a worker that was started then has to go: max_age, spread by jitter; `random` is 0 to 1. Pure. */
uint64_t recycle_due(uint64_t started_usec, uint64_t max_age_usec, double jitter, double random);

/* Makes the timer; 0 or -errno. */
int program_add_recycle_timer(struct program *program);
/* After anything that changed its workers. */
void program_recycle(struct program *program);
