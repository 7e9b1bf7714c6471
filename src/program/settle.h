/*
 * settle.h - when the worker of a surplus slot with a socket of its own may be told: nobody else can take the clients that wait there.
 * Inside program only.
 */
#pragma once

#include "program/program.h"

/* Clients may still wait at the slot's own socket, or be on their way there. Arms the program's timer to look again. */
bool slot_is_busy(struct slot *slot);
int program_add_settle_timer(struct program *program);
