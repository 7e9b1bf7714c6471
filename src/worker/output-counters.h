/*
 * output-counters.h - what became of a pipe's bytes: memory that the master shares with reloader-log, so that it knows
 * even of one that was killed.
 *
 * One entry a pipe, by its number. All but `lost` is written by reloader-log alone, `lost` by the master alone, after a death:
 * what had been read and was neither written nor dropped. One that dies while it reads may have taken OUTPUT_READ_SIZE bytes
 * more from the pipe than `read` knows of, and then nobody knows whether the pipe goes on within a line.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define OUTPUT_PIPES_MAX 65536
#define OUTPUT_READ_SIZE ((size_t)64 * 1024)

/* What is known of the byte that comes next out of a pipe. */
enum output_position {
    OUTPUT_AT_LINE,     /* it begins a line */
    OUTPUT_WITHIN_LINE, /* it does not */
    OUTPUT_READING,     /* a read may have moved it */
};

struct output_counters {
    _Atomic uint64_t read, written, dropped; /* bytes, as they came */
    _Atomic uint64_t dropped_lines;
    _Atomic uint64_t said; /* of those dropped, bytes that are in the log */
    _Atomic uint64_t position; /* enum output_position */
    uint64_t lost; /* bytes */
    uint64_t unused;
};

/* What was printed and not written, of several pipes together. */
struct output_totals {
    uint64_t dropped_lines, dropped, lost; /* the latter two in bytes */
};

static inline void output_totals_add(struct output_totals *totals,
                                     const struct output_counters *counters)
{
    totals->dropped_lines += counters->dropped_lines;
    totals->dropped += counters->dropped;
    totals->lost += counters->lost;
}
