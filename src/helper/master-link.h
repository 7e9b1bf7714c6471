/*
 * master-link.h - a helper process's side of its socket to the master; the other one is master/helper.h.
 *
 * Helpers are the master's alone: signals that end others (a terminal's, a service manager's to the whole group) do not end them. The master says when,
 * or is gone. What it says is messages of base/message.h with a TYPE; ping is answered by pong at once, and who does not answer is killed.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

#define MASTER_LINK_FD 3

/* First of all: 0, or the exit status, where somebody started it who is no master. */
int master_link_prepare(int argc, char **argv);

/* Waits for room for a moment: the master reads whenever it is told something, and these words matter. False: it was not told. */
bool master_link_tell(int fd, char *const *fields);
/* True: it was a ping, and is answered. */
bool master_link_answer(int fd, char *const *fields);
/* What NAME= says; 0 where it is missing or no number. */
uint64_t master_link_number(char *const *fields, const char *name);
