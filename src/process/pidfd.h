/*
 * pidfd.h - signal, look at and reap a process that we started, without ever meaning another one.
 *
 * A pidfd polls readable once all threads of its process have ended. Looking does not reap: a leader's number stays taken,
 * and its group safe to signal, until process_reap().
 */
#pragma once

#include "base/macros.h"

#include <signal.h>
#include <sys/types.h>

/* 0 or -errno: -ESRCH if it has been reaped (a zombie takes every signal), -EPERM. */
int process_signal(int pidfd, int signal);

/* To every process of a group whose leader was not reaped yet. 0 or -errno: -ESRCH if there is none, -EINVAL for groups 0 and 1. */
int process_signal_group(pid_t group, int signal);

/* 1 and *ret_info if our child has ended, 0 if it runs, or -errno (-ECHILD: no child of ours). */
int process_peek_exit(pid_t pid, siginfo_t *ret_info);

/* Ends a zombie. 0, -EBUSY if it still runs, or -errno (-ECHILD: no child of ours). Never waits. */
int process_reap(pid_t pid);

/* For people: "exited with 1", "SIGKILL", "SIGSEGV (core dumped)". Returns buffer. */
#define PROCESS_EXIT_TEXT_SIZE 64
const char *process_exit_to_text(const siginfo_t *info, char buffer[PROCESS_EXIT_TEXT_SIZE]);
