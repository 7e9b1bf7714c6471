/*
 * output-counters.h - what became of a pipe's bytes: memory that the master shares with reloader-log, so that it knows
 * even of one that was killed.
 *
 * One entry a pipe, by its number. All but `lost` is written by reloader-log alone, `lost` by the master alone, after a death:
 * what had been read and was neither written nor dropped.
 */
#pragma once

#include <stdint.h>

#define OUTPUT_PIPES_MAX 65536

struct output_counters {
    _Atomic uint64_t read, written, dropped; /* bytes, as they came */
    _Atomic uint64_t dropped_lines;
    uint64_t lost; /* bytes */
    uint64_t unused[3];
};
