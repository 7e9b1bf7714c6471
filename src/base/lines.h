/* lines.h - pure functions over bytes that are lines. */
#pragma once

#include <stddef.h>

/* Bytes up to and with the last newline; 0: there is none. */
size_t lines_whole(const char *data, size_t size);

size_t lines_count(const char *data, size_t size);

/* Bytes of the first n lines, or `size` where there are fewer. */
size_t lines_skip(const char *data, size_t size, size_t n);

/*
 * Bytes of the leading whole lines that find room together; 0: not even the first does. `data` ends with a newline.
 */
size_t lines_fitting(const char *data, size_t size, size_t room);

/* Bytes of the first line, with its newline, or `size`. */
size_t lines_first(const char *data, size_t size);

/*
 * Leaves out escape sequences of terminals (ECMA-48: CSI, OSC and other strings, two-byte escapes) in place, and returns what is left.
 * A sequence does not go beyond the end of its line.
 */
size_t lines_strip_ansi(char *data, size_t size);
