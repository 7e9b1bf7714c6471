/*
 * settle.h - when the worker of a slot may be told whose own socket nobody takes over, as it is surplus or its successor has another: who else would
 * take the clients that wait there?
 * Inside program only.
 */
#pragma once

#include "program/program.h"

/* Its worker is to be told, and nobody takes over a socket of its own: clients would be lost if it did not settle first. */
bool slot_is_unsettled(const struct slot *slot);
/* From now on clients are steered away from it. */
void slot_settle(struct slot *slot);
/* Clients may still wait at the slot's own socket, or be on their way there. Arms the program's timer to look again. */
bool slot_is_busy(struct slot *slot);
int program_add_settle_timer(struct program *program);
