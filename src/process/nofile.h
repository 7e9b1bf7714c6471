/*
 * nofile.h - the limit of open files. The master raises its own as far as its workers need it; they get the original
 * back (see spawn_params.nofile), as programs that use select() or size tables by the limit expect it low.
 */
#pragma once

#include "base/macros.h"

#include <sys/resource.h>

/* The limits as they are; read them once at start, before the first raise. 0 or -errno. */
int nofile_get(struct rlimit *ret);

/*
 * Makes the soft limit at least `needed`, as far as the hard limit lets it; never lowers it. 0 or -errno.
 * *ret_soft is what it is then: less than `needed` if the hard limit (LimitNOFILE=, ulimit -Hn) is too low.
 */
int nofile_raise(rlim_t needed, rlim_t *ret_soft);
