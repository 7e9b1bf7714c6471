#include "master/undo.h"

#include "base/log.h"
#include "master/master.h"

#include <errno.h>
#include <stdlib.h>

void undo_clear(struct undo *undo)
{
    for (size_t i = 0; i < undo->n; i++)
        (void)generation_unref(undo->generations[i]);
    free(undo->generations);
    (void)config_unref(undo->config);
    *undo = (struct undo){0};
}

static bool is_replaced(const struct program *program)
{
    return !program->removed && !program->is_new &&
           (program->target || program->adopted || program->is_unnamed);
}

static int remember(const struct master *master, struct undo *undo)
{
    undo->generations = calloc(master->n_programs + 1, sizeof(struct generation *));
    if (!undo->generations)
        return -ENOMEM;
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!is_replaced(program))
            continue;
        int r = generation_again(program->committed, 0, &undo->generations[undo->n]);
        if (r < 0)
            return r;
        undo->n++;
    }
    undo->config = config_ref(master->release.config);
    return 0;
}

void undo_remember(struct master *master)
{
    undo_clear(&master->undo);
    if (remember(master, &master->undo) == 0)
        return;
    undo_clear(&master->undo);
    log_warning("out of memory: this reload cannot be undone");
}
