/* sealed-file.h - what a process can be given to read without anybody writing to it meanwhile. */
#pragma once

#include <stddef.h>

/*
 * Makes a file in memory that holds `data`, positioned at its beginning, and that nobody can change any more. `name` is what /proc
 * calls it. 0 or -errno.
 */
int sealed_file_new(const char *name, const void *data, size_t size, int *ret_fd);
