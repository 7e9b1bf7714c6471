/*
 * outlet.h - the writers that there are, by where they write to: two writers of one file would tear its lines and rotate it twice.
 */
#pragma once

#include "logger/writer.h"

struct outlet {
    struct list link;
    struct writer *writer;
    unsigned n_streams;
};

struct outlet_params {
    enum writer_kind kind;
    const char *path; /* of a file; borrowed */
    const struct target_settings *settings; /* of a file: what was configured last is right */
    const struct log_place *log; /* of the master's log */
    bool again; /* lines cut in the middle are those of a process that was killed */
    struct done *done;
};

/* The writer for another stream, which has to give it back. 0 or -errno. */
int outlet_take(struct list *outlets, const struct outlet_params *params, struct writer **ret);
void outlet_drop(struct list *outlets, const struct writer *writer);

void outlet_reopen_all(struct list *outlets);
/* The master's log has moved, or changed its format. 0 or -errno. */
int outlet_set_log(struct list *outlets, const struct log_place *log);
