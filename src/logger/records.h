/* records.h - workers' lines as lines of the master's log: each with time, worker and pid, as text or JSON. */
#pragma once

#include "logger/job.h"
#include "logger/target.h"

/* Writes a job's lines so, and says in it what was dropped and why. */
void records_write(struct target *target, enum log_format format, struct job *job);
