/*
 * failures.h - how long somebody waits for the answer that his password is wrong: longer each time.
 *
 * Each failure of an address doubles its delay, from FAILURES_DELAY_MIN_USEC up to the caller's maximum; each FAILURES_FORGET_USEC takes one of them
 * back. IPv6 counts by networks (/64), which is what one customer has; all unix peers are one. Many addresses together are slowed
 * down as well. Only failures wait: how many there were says nothing about a password that is right.
 *
 * Bounded: FAILURES_ADDRESSES_MAX are remembered, the one that failed longest ago is forgotten for a new one.
 */
#pragma once

#include "base/macros.h"

#include <sys/socket.h>

#define FAILURES_ADDRESSES_MAX  1024u
#define FAILURES_DELAY_MIN_USEC (100 * USEC_PER_MSEC)
#define FAILURES_FORGET_USEC    (10 * USEC_PER_SEC)

struct failures;

/* 0 or -ENOMEM. */
int failures_new(uint64_t max_usec, struct failures **ret);
struct failures *failures_free(struct failures *failures);
DEFINE_FREEP(struct failures *, failures_free)

/* One more; how long its answer has to wait. A peer of NULL counts as a unix one. Times are monotonic. */
uint64_t failures_add(struct failures *failures, const struct sockaddr *peer, uint64_t now_usec);
/* How many addresses are remembered. */
unsigned failures_count(const struct failures *failures);
