/*
 * pid-file.h - a file with our pid in it, locked (flock) for as long as the master lives.
 *
 * The lock is what counts: a file left by a master that was killed is taken over, a locked one is an error that names its owner.
 */
#pragma once

#include "base/macros.h"

/* 0 and the locked fd (owned by the caller), or -errno with *ret_error (malloc-ed); -EBUSY: another master has it. */
int pid_file_create(const char *path, int *ret_fd, char **ret_error);
/* Removes the file if it is still ours, or empties it where that is not allowed, and unlocks. Returns -1. */
int pid_file_remove(const char *path, int fd);
