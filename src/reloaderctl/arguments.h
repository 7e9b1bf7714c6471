/* arguments.h - the words of a command line, by the table of commands. */
#pragma once

#include "reloaderctl/verbs.h"

/* What is to be done. */
enum arguments_wish {
    ARGUMENTS_RUN,           /* the command */
    ARGUMENTS_HELP,          /* of the command, or of all where there is none */
    ARGUMENTS_VERSION,       /* of this program */
    ARGUMENTS_LIST_COMMANDS, /* for machines */
    ARGUMENTS_COMPLETE,      /* the words of invocation->arguments */
    ARGUMENTS_WRONG,         /* nothing; it was told why */
};

/*
 * argv[0] is the name of the program; the words are put into another order, options first. Fills in what they say of *invocation, whose strings
 * are borrowed from argv, and *ret_verb (NULL without a command).
 */
enum arguments_wish arguments_parse(char **argv, struct invocation *invocation,
                                    const struct verb **ret_verb);
