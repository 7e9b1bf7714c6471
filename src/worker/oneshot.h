/*
 * oneshot.h - one run of a command that is no worker: of a check_command (is a new version fit to be tried at all?) or a hook.
 *
 * It runs in the directory and environment, as the user and within the limits that the generation's workers have, but without sockets and channel, in a
 * process group of its own, for a limited time. Of its output the end is kept, to be shown if it fails. The leader's exit is
 * the verdict; what else is in its group is killed then. What does not die of that (another user's, as by sudo) is left alone
 * after a while: nobody waits for it without an end. The owner frees it later, never from within `changed`.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "worker/environment.h"
#include "worker/generation.h"
#include "worker/reaper.h"
#include "worker/throttle.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>

#define ONESHOT_OUTPUT_MAX ((size_t)4096)

struct oneshot;

struct oneshot_params {
    sd_event *event;
    struct reaper *reaper;
    struct generation *generation; /* a reference is taken */
    struct oneshot_command command;
    int stdin_fd;                /* borrowed; -1: /dev/null */
    const struct rlimit *nofile; /* the limit that the master was started with */
    uint64_t limit_usec;         /* the longest time it may take */
    const char *limit_key;       /* that says so; NULL: none does. Static text */
    /* It has a verdict, or is gone. */
    void (*changed)(struct oneshot *oneshot, void *userdata);
    void *userdata;
};

enum oneshot_verdict { ONESHOT_RUNNING, ONESHOT_PASSED, ONESHOT_FAILED };

struct oneshot {
    struct list link; /* the owner's */
    struct reaper *reaper;
    struct generation
        *generation; /* NULL once it was stopped: its sockets close before its processes are gone */
    char *program;   /* its name */
    const char *name; /* of the command, for people */
    uint64_t limit_usec;
    const char *limit_key;
    void (*changed)(struct oneshot *oneshot, void *userdata);
    void *userdata;
    enum oneshot_verdict verdict;
    char *failure; /* where it failed: one line, and then those of its output */
    bool gone;     /* no process of it is left, or none that dies of SIGKILL */
    pid_t pid;
    int pidfd, output_fd;
    struct reaper_entry reaping;
    sd_event_source *exit_source, *output_source, *deadline_timer;
    struct throttle throttle;
    char output[ONESHOT_OUTPUT_MAX];
    size_t n_output;
    bool cut; /* there was more before it */
};

/* 0, or -errno with *ret_error, "check_command: cannot execute 'nod': …" (malloc-ed). */
int oneshot_new(const struct oneshot_params *params, struct oneshot **ret, char **ret_error);
/* Nobody wants to know any more: without a verdict it fails; what processes it has are killed. */
void oneshot_stop(struct oneshot *oneshot);
/* As oneshot_free(), but what runs goes on, with nobody behind its output any more, and ends by itself. Returns NULL. */
struct oneshot *oneshot_leave(struct oneshot *oneshot);
/* Kills what is left. Returns NULL. */
struct oneshot *oneshot_free(struct oneshot *oneshot);
DEFINE_FREEP(struct oneshot *, oneshot_free)
