/*
 * files.h - the files that a configuration is made of.
 */
#pragma once

#include "config/keys.h"

/*
 * Adds a file to the config and to the reader's own list. `path` is absolute, or NULL together with `directory` for the
 * command line; both are copied. NULL with errno.
 */
const struct config_file *files_add(struct reader *reader, const char *path, const char *directory);
void files_free(struct config *config);

/* "this is a directory, expected a file" and the like, of fd_read_file(). */
const char *files_describe_failure(int error);

/* Of a source's --set: those of `include` (or the others) are applied to reader->tree->root. 0 or -errno. */
int files_apply_sets(struct reader *reader, char *const *sets, bool of_include);

/*
 * Makes one tree of all files: reader->tree->root has the keys of the main file but `include`, and the sockets and programs of all.
 * Names that are there twice go to the errors. 0 or -ENOMEM.
 */
int files_merge(struct reader *reader);
