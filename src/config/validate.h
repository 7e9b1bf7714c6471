/*
 * validate.h - what no key can know alone: whether the parts of a configuration go together.
 */
#pragma once

#include "config/keys.h"

/* Checks a config that was read, and resolves defaults that depend on other keys. */
void validate(struct reader *reader);

/*
 * As whom each program and the master itself run, and what programs have from the top of the file: environment, directory, umask. Before
 * validate(). validate-identity.c
 */
void validate_identities(struct reader *reader);

/* validate-gateway.c */
void validate_gateway(struct reader *reader);

/* One program: validate-program.c */
void validate_program(struct reader *reader, struct config_program *program,
                      const struct draft *draft);
