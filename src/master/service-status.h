/*
 * service-status.h - what a service manager (systemd) is told of the master, decided from a plain view of it. Pure.
 */
#pragma once

#include "base/macros.h"
#include "master/reload.h"

#include <stdbool.h>
#include <stddef.h>

struct service_program {
    const char *name;
    unsigned priority;
    unsigned ready, wanted;
    uint64_t generation;
    const char *step; /* of the reload that runs: "canary"; NULL: it takes no part */
    bool told;        /* to stop */
    bool empty;       /* no process is left */
    uint64_t
        busy_until_usec; /* when the last worker that starts, drains or stops must have done so; 0: none does */
    uint64_t start_usec; /* the longest that a first start may take */
    uint64_t leave_usec; /* … and a worker's leaving */
    uint64_t step_usec;  /* … and a reload's next step */
};

struct service_view {
    bool was_ready; /* once, all that should run was ready */
    bool stopping, forced;
    uint64_t reload; /* the one that runs, or is being checked; 0: none */
    bool checking;
    uint64_t reloads_taken;            /* the id of the newest that began or was refused */
    const struct reload_record *ended; /* the newest that did; or NULL */
    const char *start_failure;         /* or NULL */
    uint64_t started_usec;
    unsigned leaving; /* workers that are still there, in a shutdown */
    const struct service_program *programs;
    size_t n_programs;
};

/*
 * One line, "4 of 4 ready, generation 3"; cut where it would be longer than the buffer, but never within a character. Returns
 * buffer.
 */
#define SERVICE_STATUS_SIZE 400
const char *service_status_text(const struct service_view *view, char buffer[SERVICE_STATUS_SIZE]);

enum service_phase { SERVICE_NOTHING, SERVICE_READY, SERVICE_RELOADING, SERVICE_STOPPING };

/* What the manager believes. */
struct service_told {
    enum service_phase phase;
    uint64_t reload; /* the newest it knows of */
};

/*
 * The next thing that it has to hear, one at a time until nothing is left (false). Each reload is announced and each
 * announcement is followed by READY, one that was refused or superseded too: who waits for a reload waits for both.
 */
bool service_next(const struct service_told *told, const struct service_view *view,
                  struct service_told *ret);

/*
 * Until when (monotonic) what is going on may take by what is configured and was granted; 0: nothing is going on. The start: the
 * first try of each worker, a start that is tried again gets no more time. A reload: its next step, as each is followed by a
 * look. A shutdown: all of it.
 */
uint64_t service_until(const struct service_view *view, uint64_t now_usec);
