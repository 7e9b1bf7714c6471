/*
 * heal.h - replaces workers that are unhealthy, as the watchdog or the checks of worker/health.h say.
 *
 * Such a worker may still serve, and it may be that all are unhealthy because something is down that they all depend on. So:
 *   - beside it, where the program has sockets of ours and max_surge allows it: it is worn (see rollout.h), its successor has to be ready
 *     and to prove that it is well, and only then it is told. Else the worker stays.
 *   - it is told first, where there can be no successor beside it; or where one did not get well (it may need a port that the old one
 *     has), but others are well, so that nothing is down that all need. The new one has to prove itself before the next one is told.
 *   - at most max_unavailable (but one at least) are at this at a time; of those that are told first, together with those that are missing anyway;
 *   - after a try that failed there is a pause, which doubles each time. The next one to be tried is who waited longest.
 * Telling is a drain as any other, with all its deadlines: graceful, then firm. Who gets well by himself is spared. A check may be
 * answered by the successor where both have the same address: once that is ready, a good answer is its own.
 */
#pragma once

#include "program/program.h"

enum heal_standing {
    HEAL_FINE,      /* ready, and well as far as is known */
    HEAL_ABSENT,    /* nobody is ready there, though somebody should be */
    HEAL_ILL,       /* ready, and unhealthy */
    HEAL_UNDER_WAY, /* its replacement is, or has taken over and not proven itself yet */
    HEAL_NOBODY,    /* nobody should be there */
};

struct heal_slot {
    enum heal_standing standing;
    bool failed;         /* a successor beside it did not get well */
    uint64_t tried_usec; /* when its replacement was last begun; 0: never */
};

struct heal_view {
    const struct heal_slot *slots;
    size_t n_slots;
    unsigned max_unavailable;
    bool beside; /* a successor may serve beside the old worker */
};

enum heal_act { HEAL_NOTHING, HEAL_BESIDE, HEAL_TELL_FIRST };

/* What is to be done now, and in which slot. Pure. */
enum heal_act heal_next(const struct heal_view *view, size_t *ret_slot);
/* From the last of so many failed tries in a row (1 and more) to the next one. Pure. */
uint64_t heal_pause(uint64_t first_usec, unsigned tries);

/* Decides what is to be healed. From program_converge(), before it acts. */
void program_heal(struct program *program);
int program_add_heal_timer(struct program *program);
/* Is the successor to take over yet, as far as health goes? */
bool slot_successor_is_proven(const struct slot *slot);
