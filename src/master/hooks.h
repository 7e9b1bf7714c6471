/*
 * hooks.h - on_event: programs' own commands, run for each event of the types that they ask for.
 *
 * One more subscriber of the bus. An event that names a program is for that program's hook, any other for each hook that asks for its type; one of
 * two types that are asked for is one event. The hook is that of the configuration in force when it happens.
 *
 * A hook is told by a sealed file as its standard input, so nobody writes to it and nothing here can block. It is a oneshot: as its program's workers
 * are, for at most HOOK_LIMIT_USEC. Few run at a time, few wait, and what is beyond that is dropped, counted and said: see hook-queue.h.
 */
#pragma once

#include "base/macros.h"
#include "master/event.h"

#include <stdbool.h>

struct master;
struct hooks;

/* Subscribes. The master's event loop and reaper outlive it. 0 or -errno. */
int hooks_new(struct master *master, struct hooks **ret);
/* Those that still run are left alone: they end by themselves. */
struct hooks *hooks_free(struct hooks *hooks);
DEFINE_FREEP(struct hooks *, hooks_free)

/*
 * Nothing but the hooks keeps the master: is it to wait for them? True for a few seconds at most from the first call on; it is
 * woken when that changes.
 */
bool hooks_linger(struct hooks *hooks);

/* What an event is, for those who ask: enum config_event. */
unsigned hooks_classify(enum event_type type, json_t *event);
/* The program that it is about, or NULL. Borrowed from the event. */
const char *hooks_subject(json_t *event);
