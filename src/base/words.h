/*
 * words.h - a command written as one string, split as a shell would, without a shell.
 *
 * Blanks separate words; '…' and "…" and a backslash quote. What only a shell can do (pipes, redirections, variables,
 * several commands) is an error outside quotes: it would otherwise end up as a strange argument.
 */
#pragma once

#include "base/macros.h"

#define WORDS_MAX 4096

/* 0 and a strv in *ret (NULL: no words), -EINVAL with *ret_reason for people (malloc-ed; more than WORDS_MAX words are one), or -ENOMEM. */
int words_split(const char *text, char ***ret, char **ret_reason);
/* The same for what never was a shell's: | & ; < > $ ` ( ) are letters like others, as for Python's shlex.split(). */
int words_split_plain(const char *text, char ***ret, char **ret_reason);
