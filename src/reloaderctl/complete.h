/*
 * complete.h - what a word that somebody has begun to type may become, by the table of commands: for the shell of ours, and by
 * `reloaderctl --complete WORD...` for the others.
 */
#pragma once

#include "reloaderctl/verbs.h"

/* Candidates, each "WORD\tWHAT IT IS" (the tab and what follows may be missing); or COMPLETE_FILES alone. */
#define COMPLETE_FILES ":file"

/*
 * `words` (NULL-terminated) are those behind the program's name up to the cursor; the last one is being typed, and may be empty. Of `invocation` the socket and
 * in_shell count. A master that does not answer within a second is left alone. The candidates, a strv; NULL: none.
 */
char **complete_words(const struct invocation *invocation, char *const *words);

/* Prints them, a line each, and never lasts longer than two seconds. */
int complete_print(const struct invocation *invocation);
