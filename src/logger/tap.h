/*
 * tap.h - what streams print, copied to the master for those who watch (`reloaderctl tail -f`, events).
 *
 * Nobody is ever waited for: what is more than the master should have to deal with (TAP_RATE, and TAP_QUEUE unread by it), and a line
 * longer than TAP_LINE_MAX, is left out whole lines at a time and counted; the count goes out as soon as there is room again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAP_RATE     (1024 * 1024) /* bytes a second of all streams together; and the most at once */
#define TAP_QUEUE    (128 * 1024)
#define TAP_LINE_MAX ((size_t)32 * 1024)

struct stream;

/* What may be sent now. */
struct tap_budget {
    uint64_t bytes, usec;
};

/* Whole lines of a stream that is watched. */
void tap_lines(struct stream *stream, const char *data, size_t size);
/* Lines that were left out and not told of yet: tries that again. True: later. */
bool tap_tell_missed(struct stream *stream);
