/*
 * reaper.h - the one place where processes are reaped.
 *
 * A worker's leader is made known when it is born. Once it has exited it stays a zombie until its process group is empty;
 * then it is reaped and its owner told. Passes over /proc are bundled and at least 20 ms apart, becoming rarer while a
 * group lives on. Nothing is waited for: no timer. The descriptors that a pass takes are held in reserve.
 *
 * Who has left the group of its leader, as daemons do, is not found by it. But whoever descends from us and loses its parent
 * becomes our child (we are the "subreaper"; PID 1 is by nature): its environment tells whose it was. Such a stray is told to
 * the leader's owner, and either waited for as the group is, or left alone and remembered while it lives. All others of our
 * orphans are reaped, and that is all.
 */
#pragma once

#include "base/macros.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct reaper;

/* One leader and its group; embedded in its owner. */
struct reaper_entry {
    struct list link;
    pid_t leader;
    bool whole_group; /* false: the leader alone counts (kill_mode: process) */
    bool whole_tree;  /* strays count as well (kill_mode: tree) */
    const char *mark; /* NOTIFY_SOCKET in the environment of the leader and of its strays; borrowed. NULL: they are not looked for */
    const char *name; /* what its owner is called; borrowed */
    bool exited;
    uint64_t exited_usec; /* monotonic: when the reaper was told so */
    bool outlived_told;
    /* The leader is reaped, the group empty. The entry is no longer known to the reaper and may be freed. */
    void (*empty)(void *userdata);
    /*
     * A stray of it lives, though the leader has exited. With whole_tree this is said at each pass while it does; else once, when
     * the group is empty, and then it stays. Its pid is a child's of ours.
     */
    void (*stray)(pid_t pid, const char *process, bool stays, void *userdata);
    /*
     * `n_members` of its group, which counts, among them `member`, are still there half a second after it: said once, by the first pass that
     * sees it. May be NULL.
     */
    void (*outlived)(pid_t member, size_t n_members, void *userdata);
    void *userdata;
};

/* A stray that was left alone, and lives. */
struct reaper_left {
    pid_t pid;
    char *process; /* "sleep" */
    char *name;    /* whose it was */
};

/* SIGCHLD goes to its default: where it was ignored, there would be nothing to reap. */
int reaper_new(sd_event *event, struct reaper **ret);
struct reaper *reaper_free(struct reaper *reaper);
DEFINE_FREEP(struct reaper *, reaper_free)
/* From now on orphans are left to this process: a property of it, which its children do not get. SIGCHLD has to be blocked. */
int reaper_adopt_orphans(struct reaper *reaper);

/* The leader lives and is ours to reap. */
void reaper_add(struct reaper *reaper, struct reaper_entry *entry);
/* It has exited (waitid with WNOWAIT said so): wait for its group, then reap it. */
void reaper_exited(struct reaper *reaper, struct reaper_entry *entry);
/* Look again soon: a signal was sent that may empty a group. */
void reaper_hurry(struct reaper *reaper);
/*
 * Whoever has exited holds descriptors of ours, and counts as a process of its user's, until it is reaped. Who could not start
 * another one, for `error`, asks whether to try again: true, when that is such a shortage and somebody is gone by now. It looks at once,
 * and calls back as a pass does. Not for who is called back by one.
 */
bool reaper_relieves(struct reaper *reaper, int error);
/* The owner goes before the group is empty. A leader that has exited is reaped now. */
void reaper_remove(struct reaper *reaper, struct reaper_entry *entry);
/* The owner goes although the leader lives and cannot be helped: a later pass reaps it, whenever it has exited. */
void reaper_disown(struct reaper *reaper, struct reaper_entry *entry);

/* Those that were left alone, *ret_n of them; at most 64 are remembered. Valid until the event loop runs on. */
const struct reaper_left *reaper_left(const struct reaper *reaper, size_t *ret_n);
