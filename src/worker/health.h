/*
 * health.h - is a worker ready, and then well? What it does not say by itself, the watchdog and checks tell.
 *
 * `ready: {http: …}`: while it is STARTING, a check is made until one is good.
 * `watchdog`: while it is READY, it has to say WATCHDOG=1 within that time, again and again. It may change the time by WATCHDOG_USEC=,
 * and ask for its end by WATCHDOG=trigger.
 * `health`: while it is READY, a check is made at each interval; so many failures in a row mean that it is not well.
 *
 * What follows from it is the owner's business: see program/health.h. For worker.c alone.
 */
#pragma once

#include "worker/notify.h"
#include "worker/worker.h"

/* Both have to be good, and one that is bad suffices. Pure. */
enum health health_join(enum health a, enum health b);
/* After `failures` checks in a row have failed, the last one among them. Pure. */
enum health health_of_failures(enum health before, unsigned failures, unsigned limit);

/* Makes the timer, where there is a watchdog. */
int health_init(struct worker *worker, const struct worker_params *params);
void health_clear(struct worker *worker);
/* The state is another one now: begins and ends what belongs to it. */
void health_follow(struct worker *worker);
/* What it said. */
void health_notified(struct worker *worker, const struct notify_message *message);
