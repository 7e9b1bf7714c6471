/* narrow.h - what of a status some names mean: all, PROGRAM, GROUP:*, PROGRAM:*, PROGRAM:SLOT or a worker's name. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

bool name_means_program(const char *name, json_t *program);
/* Also where it means the whole program. */
bool name_means_slot(const char *name, json_t *program, json_t *slot);

/*
 * Leaves no program or slot that none of the names means, and nothing that is of no program; without names all stays. Returns the
 * first name that means nothing, or NULL.
 */
const char *status_narrow(json_t *status, char *const *names);
