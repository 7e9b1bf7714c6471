/* watch-paths.h - what there is to watch: of a program its program file, and what its `watch` names; the files of the configuration. */
#pragma once

#include "worker/generation.h"

/*
 * Absolute paths with wildcards (base/pattern.h), for each directory that its workers start in. Links are in there as
 * configured, so that a `current` that leads elsewhere is seen. 0 or -errno with *ret_error (malloc-ed).
 */
int watch_paths_of_program(struct generation *generation, char ***ret, char **ret_error);

/* Likewise of the configuration: its file, and wherever included ones are, or may come. 0 or -ENOMEM. */
int watch_paths_of_config(const struct config *config, char ***ret);
