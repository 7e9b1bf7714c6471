/*
 * scale.h - more or fewer workers of one program, until the next reload that reads the configuration.
 *
 * It is a reload of its own kind, so that sockets of slots are bound before anything is touched and the history has it; but nobody is replaced.
 */
#pragma once

#include "master/reload.h"

struct scale_wish {
    const char *program;
    bool relative; /* `workers` is added to what it has, or will have */
    int64_t workers;
};

/*
 * 0 and the reload's id; -ENOENT: there is no such program; -EBUSY: a reload is about, which sets the number itself; -ERANGE: not from 1 to
 * CONFIG_WORKERS_MAX; -ESHUTDOWN; -ENOMEM.
 */
int master_scale(struct master *master, const struct scale_wish *wish,
                 const struct reload_cause *cause, uint64_t *ret_id);
/* The same by a signal, which names no program: that with the lowest priority number which is to run, the first of these in the file. */
void master_scale_first(struct master *master, int by, const struct reload_cause *cause);
