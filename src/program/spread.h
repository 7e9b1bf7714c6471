/*
 * spread.h - when the connections end that do not end by themselves, spread over disconnect_spread. Pure.
 *
 * All connections that a worker holds on to until disconnect_timeout end in one instant; and where the workers of a program are told
 * together, so do all of theirs: their clients come back at once. So each slot has a point of its own within disconnect_spread, which
 * begins when the first worker of a rollout was told. The points are S/n apart, and all are moved by one random offset below S/n: with
 * one slot that is all there is, but several machines that reload at a time get different ones.
 *
 * A worker is never ended before its disconnect_timeout, and it waits for its slot's point beyond that only where those that were told
 * together would end together: one that is told late, as slot by slot with drain-first, may be past it already.
 *
 * One that ends its connections one by one has S for that where all are told together. Where a few are at a time, one after the other,
 * it is their share of S, so that the rollout takes no longer and the rate is the same.
 */
#pragma once

#include <stdint.h>

/* A slot's point: 0 to spread_usec, rising with the slot. `offset` is 0 to 1; slot is below slots. */
uint64_t spread_point(uint64_t spread_usec, unsigned slot, unsigned slots, double offset);

/* How much longer than disconnect_timeout a worker that is told now may take, when the first was told at began_usec. */
uint64_t spread_wait(uint64_t point_usec, uint64_t began_usec, uint64_t now_usec);

/* Over what time a worker ends its own connections, where `together` of the slots drain at a time. */
uint64_t spread_own(uint64_t spread_usec, unsigned together, unsigned slots);
