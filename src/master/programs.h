/* programs.h - the master's programs: making, finding, ordering and getting rid of them. */
#pragma once

#include "config/config.h"
#include "program/program.h"

struct master;

/* What a program of the master's has, in its first generation. */
struct program_params master_program_params(struct master *master, struct generation *generation);
/* When the master starts: all of the configuration in force, in their first generation. 0 or -errno with *ret_error (malloc-ed). */
int master_add_programs(struct master *master, char **ret_error);
/* One that a reload may add: nothing of it is there yet. 0 or -errno. */
int master_make_program(struct master *master, struct config *config,
                        const struct config_program *program, struct program **ret);
/* Makes room for n more, so that master_take_program() cannot fail. 0 or -ENOMEM. */
int master_reserve_programs(struct master *master, size_t n);
void master_take_program(struct master *master, struct program *program);
/* By its name now; not one that was removed. Of one that is being replaced by another of the same name, the older. NULL: none. Borrowed. */
struct program *master_find_program(const struct master *master, const char *name);
/* Frees those that were removed and are empty. */
void master_free_removed_programs(struct master *master);
/* By priority, then as in the file. */
void master_sort_programs(struct master *master);
