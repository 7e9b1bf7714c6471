/*
 * template.h - Supervisor's expansions, made into reloader's (config/expand.h).
 *
 * They are the same but for those that are known now, or mean something else in another file: %(here)s, %(numprocs)s, and
 * %(ENV_X)s of a variable that the supervisord.conf itself sets. These are replaced by what they stand for.
 */
#pragma once

#include "base/macros.h"

struct template_names {
    const char *here;         /* directory of the file that the text is from */
    const char *program_name; /* NULL: not known here, as for the two below */
    const char *group_name;
    const char *numprocs;
    const char *our_program_name, *our_group_name; /* what the same will be in reloader */
    char *const *environment
        [2]; /* "NAME=template"; the first that has a name counts. Further ones are the master's */
};

/*
 * 0 and a template of reloader's, or -EINVAL with *ret_reason for people, or -ENOMEM. Both are malloc-ed.
 */
int template_translate(const char *text, const struct template_names *names, char **ret,
                       char **ret_reason);
/* The same for what must not differ from worker to worker, and is no template here: the very text. */
int template_evaluate(const char *text, const struct template_names *names, char **ret,
                      char **ret_reason);
