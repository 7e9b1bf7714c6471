/*
 * undo.h - what the last reload that committed replaced: enough to make it true again, and nothing that keeps a socket open.
 */
#pragma once

#include "config/config.h"
#include "worker/generation.h"

struct master;

struct undo {
    struct config *config; /* NULL: nothing was committed yet */
    struct generation **generations; /* of the programs that it replaced or removed, without listeners */
    size_t n;
};

/* Before a commit. Without memory it warns, and there will be nothing to undo. */
void undo_remember(struct master *master);
void undo_clear(struct undo *undo);
