/*
 * reaper.h - the one place where processes are reaped.
 *
 * A worker's leader is made known when it is born. Once it has exited it stays a zombie until its process group is empty;
 * then it is reaped and its owner told. Passes over /proc are bundled and at least 20 ms apart, becoming rarer while a
 * group lives on. Nothing is waited for: no timer.
 * As PID 1 the reaper also collects strangers that were left to it.
 */
#pragma once

#include "base/macros.h"
#include "base/list.h"

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct reaper;

/* One leader and its group; embedded in its owner. */
struct reaper_entry {
    struct list link;
    pid_t leader;
    bool whole_group; /* false: the leader alone counts (kill_mode: process) */
    bool exited;
    /* The leader is reaped, the group empty. The entry is no longer known to the reaper and may be freed. */
    void (*empty)(void *userdata);
    void *userdata;
};

/* SIGCHLD goes to its default: where it was ignored, there would be nothing to reap. */
int reaper_new(sd_event *event, struct reaper **ret);
struct reaper *reaper_free(struct reaper *reaper);
DEFINE_FREEP(struct reaper *, reaper_free)

/* The leader lives and is ours to reap. */
void reaper_add(struct reaper *reaper, struct reaper_entry *entry);
/* It has exited (waitid with WNOWAIT said so): wait for its group, then reap it. */
void reaper_exited(struct reaper *reaper, struct reaper_entry *entry);
/* Look again soon: a signal was sent that may empty a group. */
void reaper_hurry(struct reaper *reaper);
/* The owner goes before the group is empty. A leader that has exited is reaped now. */
void reaper_remove(struct reaper *reaper, struct reaper_entry *entry);
/* The owner goes although the leader lives and cannot be helped: a later pass reaps it, whenever it has exited. */
void reaper_disown(struct reaper *reaper, struct reaper_entry *entry);
