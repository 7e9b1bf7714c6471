/* validate-output.h - what `silent`, `redirect_stderr`, `stdout` and `stderr` of a program have to do with each other. */
#pragma once

#include "config/expand.h"
#include "config/keys.h"

/* YAML's null stands for "unset" everywhere else; here it is a place. */
bool output_says_null(const struct tree_node *mapping, const char *name);

/* Says what does not go together, and resolves `silent` and `stdout: null`. Paths are tried out with `expansion`, the program's own. */
void validate_output(struct reader *reader, struct config_program *program,
                     const struct draft *draft, const struct expansion *expansion);
