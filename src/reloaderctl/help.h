/* help.h - what the table of commands tells people and machines. */
#pragma once

#include "reloaderctl/verbs.h"

/* Of all commands. `in_shell`: as they are typed there. */
void help_print(bool in_shell);
void help_print_verb(const struct verb *verb);
/* A line of JSON for each command: {name, aliases, arguments, help, options: [{name, letter, value, help}], places, shell_only}. */
void help_list_commands(void);
