/*
 * obstacle.h - why a program of a valid configuration would not start here. Who checks a configuration need not be who runs it, nor where:
 * so it is told, and is no error.
 */
#pragma once

#include "config/config.h"

/*
 * Of its first slot: "cannot execute 'nod': No such file or directory (it is in no directory of its PATH), which is /usr/bin:/bin"; malloc-ed. NULL:
 * its executable is there, or it depends on the generation where that is. Nothing is started.
 */
char *obstacle_find(struct config *config, const struct config_program *program);
