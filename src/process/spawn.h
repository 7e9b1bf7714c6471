/*
 * spawn.h - start a process: clone() and exec. Knows no worker.
 *
 * A child that stays who we are borrows our memory (CLONE_VM | CLONE_VFORK): the caller is suspended until it has execed or
 * failed, so nothing is copied and the exact failing step and errno come back in memory. One that becomes another user gets a
 * copy, so that who may stop or trace it never has us in its hands; then they come back through a pipe, and the wait ends after
 * SPAWN_WAIT_USEC. The child leads a new process group, has every signal at its default and none blocked, and has just the
 * descriptors named here: everything else in the master is CLOEXEC.
 */
#pragma once

#include "base/macros.h"
#include "process/identity.h"
#include "process/step.h"

#include <sys/resource.h>
#include <sys/types.h>

#define SPAWN_PID_SIZE  12
#define SPAWN_PID_TEXTS 2

struct spawn_params {
    char *const *argv;
    char *const *envp;
    const char *executable; /* path from spawn_find_executable() */
    const char *directory;  /* absolute; the child changes into it before exec; NULL: stays */
    int directory_fd;       /* the same, open: used instead of the path. Borrowed; 0: none */
    int stdin_fd, stdout_fd, stderr_fd; /* -1: inherited from the master. Borrowed */
    const int *fds; /* become 3, 4, … in this order. Borrowed; duplicates allowed */
    size_t n_fds;
    /*
     * Each points into a string of envp, behind "LISTEN_PID=" or the like, with room for SPAWN_PID_SIZE bytes: the child writes its
     * pid there. NULL: not wanted.
     */
    char *pid_texts[SPAWN_PID_TEXTS];
    const struct rlimit *nofile;             /* where `identity` has none; NULL: as the master's */
    const struct process_identity *identity; /* NULL: as the master */
};
#define SPAWN_WAIT_USEC (3 * USEC_PER_SEC)

/*
 * 0 with *ret_pid and *ret_pidfd (owned by the caller, CLOEXEC), or -errno with *ret_failure; then no process is left.
 * For a single-threaded caller: what another thread does meanwhile goes on.
 */
int spawn(const struct spawn_params *params, pid_t *ret_pid, int *ret_pidfd,
          struct spawn_failure *ret_failure);

/*
 * Finds what exec would run for `name`: as it is if it has a slash (relative to `directory`), else along the PATH of `envp`
 * (default: _PATH_STDPATH). 0 with an absolute path (malloc-ed), -ENOENT, -EACCES (found, but not executable), -EISDIR, -ENOMEM,
 * or what stat() says (-ELOOP, -ENAMETOOLONG).
 */
int spawn_find_executable(const char *name, const char *directory, char *const *envp, char **ret);

/*
 * Text for people: "cannot execute 'nod': No such file or directory", "cannot change to directory '/x': …". malloc-ed or NULL.
 * For a program that spawn_find_executable() did not find: step EXEC, its errno, and no `executable` in params.
 */
char *spawn_failure_to_text(const struct spawn_failure *failure, const struct spawn_params *params);
