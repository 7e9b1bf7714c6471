/*
 * usage.h - CPU and memory of processes, as /proc tells whoever asks: one memory of earlier looks for all paths of the gateway.
 *
 * A CPU percentage belongs to a time. Here it is the one since the last look, whoever looked, but at least USAGE_WINDOW_USEC, so that who looks often sees no
 * noise of the clock's ticks; at the first look since the process began. It is in percent of one CPU, of all threads, without children.
 */
#pragma once

#include "base/macros.h"
#include "process/usage.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define USAGE_WINDOW_USEC USEC_PER_SEC
/* How long a look is good for all who ask: many that look at many processes look at each once. Who has gone meanwhile is still told. */
#define USAGE_GOOD_USEC (100 * USEC_PER_MSEC)
/* Processes that are remembered; of others beyond it tells the average since they began. */
#define USAGE_MAX 16384

struct usage_sample {
    uint64_t cpu;      /* hundredths of a percent */
    uint64_t cpu_usec; /* user and system time since it began */
    uint64_t memory;   /* resident bytes */
    uint64_t start_usec;
};

struct usage;

/* 0 or -ENOMEM. */
int usage_new(struct usage **ret);
struct usage *usage_free(struct usage *usage);
DEFINE_FREEP(struct usage *, usage_free)

/* 0; -ESRCH: it has gone, is hidden from us, or is no child of `parent` (0: whose it is does not matter); or another -errno. */
int usage_look(struct usage *usage, pid_t pid, pid_t parent, struct usage_sample *ret);

/* How many are remembered. */
size_t usage_remembered(const struct usage *usage);

/* Hundredths, rounded. 0 for no time. */
uint64_t usage_percent(uint64_t cpu_usec, uint64_t elapsed_usec);

/* Two looks at a process: the last one, and one before that the window begins with. */
struct usage_mark {
    pid_t pid;
    uint64_t start_usec;
    uint64_t base_usec, base_cpu_usec;
    uint64_t last_usec, last_cpu_usec;
};
/* A further look at `now_usec` of CLOCK_BOOTTIME; a mark of another process that had this pid begins anew. Returns hundredths. Pure. */
uint64_t usage_measure(struct usage_mark *mark, const struct process_usage *look,
                       uint64_t now_usec);
