/*
 * heal.h - replaces workers that are unhealthy, as the watchdog or the checks of worker/health.h say.
 *
 * Such a worker may still serve, and it may be that all are unhealthy because something is down that they all depend on. So:
 *   - it is worn (see rollout.h): replaced ready-first, by the normal drain with all its deadlines, when no reload runs;
 *   - its successor has to prove that it is well before the worker is told. One that is not, goes again, and the worker stays. With
 *     max_surge: 0 there is no successor beside it: then the next one is told when the new one has proven itself;
 *   - not more than max_unavailable (but one at least) are at this at a time;
 *   - after a try that failed there is a pause, which doubles each time. The next one to be tried is who waited longest.
 * Who gets well by himself is spared.
 */
#pragma once

#include "program/program.h"

enum heal_standing {
    HEAL_FINE,      /* or not ready, or nobody is there */
    HEAL_ILL,       /* ready, and unhealthy */
    HEAL_UNDER_WAY, /* its replacement is, or has taken over and not proven itself yet */
};

struct heal_slot {
    enum heal_standing standing;
    uint64_t tried_usec; /* when its replacement was last begun; 0: never */
};

/* The slot whose worker is to be replaced now, or `n`: none. Pure. */
size_t heal_next(const struct heal_slot *slots, size_t n, unsigned max_unavailable);
/* From the last of so many failed tries in a row (1 and more) to the next one. Pure. */
uint64_t heal_pause(uint64_t first_usec, unsigned tries);

/* Decides what is to be healed. From program_converge(), before it acts. */
void program_heal(struct program *program);
int program_add_heal_timer(struct program *program);
/* Its current worker, which is unhealthy, is being told: see max_surge: 0 above. */
void slot_is_told(struct slot *slot);
/* Is the successor to take over yet, as far as health goes? */
bool slot_successor_is_proven(const struct slot *slot);
