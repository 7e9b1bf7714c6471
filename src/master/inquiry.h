/*
 * inquiry.h - one run of reloader-why for each question about workers, beside the event loop.
 *
 * Bounded in all ways: what it may take, what it may print, how many run at a time (others wait for their turn) and how many there
 * are. An inquiry is known by its id, and knows its workers by theirs: one that is still there when the answer comes was there all the
 * time, and its pid was nobody else's.
 */
#pragma once

#include "base/buffer.h"
#include "base/list.h"
#include "worker/reaper.h"
#include "worker/worker.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct master;

struct inquiry_subject {
    uint64_t worker; /* its id */
    pid_t pid;
    pid_t strays[WORKER_STRAYS_MAX]; /* of it, whom it is waited for as well */
    unsigned n_strays;
};

struct inquiry {
    struct list link;
    struct master *master;
    uint64_t id;
    struct inquiry_subject *subjects;
    size_t n_subjects;
    bool forgotten; /* nobody waits for it any more */
    bool late;      /* it was killed for that */
    pid_t pid;      /* 0: it waits for its turn */
    int pidfd, output_fd;
    struct reaper_entry reaping;
    sd_event_source *exit_source, *output_source, *deadline_timer;
    struct buffer output;
    bool overflows; /* it printed more than it may */
    siginfo_t exit;
};

struct inquiries {
    struct list list; /* the oldest first */
    size_t n, running;
    uint64_t last_id;
};

void inquiries_init(struct inquiries *inquiries);
/* What runs is killed, and gone afterwards. */
void inquiries_clear(struct inquiries *inquiries);

/*
 * 0 and an id: why_answer() gets what is found out, in a later turn of the event loop; `subjects` (malloc-ed) is taken over. -EBUSY: there are
 * too many; -ENOENT: reloader-why is not there; or another -errno.
 */
int inquiry_new(struct master *master, struct inquiry_subject *subjects, size_t n_subjects,
                uint64_t *ret_id);
/* For people: why it did not begin. */
const char *inquiry_explain(int r);
void inquiry_forget(struct master *master, uint64_t id);
