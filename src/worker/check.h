/*
 * check.h - one run of a generation's check_command: is a new version fit to be tried at all?
 *
 * It runs in the directory and environment, as the user and within the limits that the generation's workers will have, but without sockets and channel, in a
 * process group of its own, for at most start_timeout. Of its output the end is kept, to be shown if it fails. The leader's exit is
 * the verdict; what else is in its group is killed then. What does not die of that (another user's, as by sudo) is left alone
 * after a while: nobody waits for it without an end. The owner frees it later, never from within `changed`.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "worker/generation.h"
#include "worker/reaper.h"
#include "worker/throttle.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>

#define CHECK_OUTPUT_MAX ((size_t)4096)

struct check;

struct check_params {
    sd_event *event;
    struct reaper *reaper;
    struct generation *generation; /* of a program with a check_command; a reference is taken */
    const struct rlimit *nofile;   /* the limit that the master was started with */
    /* It has a verdict, or is gone. */
    void (*changed)(struct check *check, void *userdata);
    void *userdata;
};

enum check_verdict { CHECK_RUNNING, CHECK_PASSED, CHECK_FAILED };

struct check {
    struct list link; /* the owner's */
    struct reaper *reaper;
    struct generation
        *generation; /* NULL once it was stopped: its sockets close before its processes are gone */
    char *program; /* its name */
    void (*changed)(struct check *check, void *userdata);
    void *userdata;
    enum check_verdict verdict;
    char *failure;  /* where it failed: one line, and then those of its output */
    bool gone;      /* no process of it is left, or none that dies of SIGKILL */
    pid_t pid;
    int pidfd, output_fd;
    struct reaper_entry reaping;
    sd_event_source *exit_source, *output_source, *deadline_timer;
    struct throttle throttle;
    char output[CHECK_OUTPUT_MAX];
    size_t n_output;
    bool cut; /* there was more before it */
};

/* 0, or -errno with *ret_error, "check_command: cannot execute 'nod': …" (malloc-ed). */
int check_new(const struct check_params *params, struct check **ret, char **ret_error);
/* Nobody wants to know any more: without a verdict it fails; what processes it has are killed. */
void check_stop(struct check *check);
/* Kills what is left. Returns NULL. */
struct check *check_free(struct check *check);
DEFINE_FREEP(struct check *, check_free)
