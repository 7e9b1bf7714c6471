/*
 * runtime-directory.h - where the control socket and the workers' notify sockets live.
 *
 * Made when it is missing (0711 as root, so that workers of other users reach their notify sockets; else 0700). One that
 * belongs to somebody else, that others may write to, or that is a symbolic link is refused: who owns the directory owns the sockets.
 */
#pragma once

#include "base/macros.h"

#include <sys/types.h>

/*
 * One that belongs to `heir` (the user whom an earlier master became) is taken back first, by a master that may; -1: there is none.
 * 1: it was made or taken back, 0: it was there; or -errno with *ret_error, one line that says what is wrong and what to do (malloc-ed).
 */
int runtime_directory_prepare(const char *path, uid_t heir, char **ret_error);

/*
 * Makes PATH/notify-PID, our own, and removes those that masters which are gone have left. 0 and its path (malloc-ed; the
 * caller removes the directory in the end), or -errno with *ret_error.
 */
int runtime_directory_prepare_notify(const char *path, char **ret_notify, char **ret_error);
