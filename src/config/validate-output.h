/* validate-output.h - what `silent`, `redirect_stderr`, `stdout` and `stderr` of a program have to do with each other. */
#pragma once

#include "config/checker.h"

/* YAML's null stands for "unset" everywhere else; here it is a place. */
bool output_says_null(const struct tree_node *mapping, const char *name);

/* Says what does not go together, and resolves `silent` and `stdout: null` in `program`, which is the checker's. */
void validate_output(struct checker *c, struct config_program *program);
