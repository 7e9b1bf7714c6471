/*
 * parse.h - strict parsing of what people write, and its way back to text.
 *
 * The whole string must be the value: no blanks, no sign that is not asked for, no trailing garbage.
 * 0 or -EINVAL (not of this form) or -ERANGE (of this form, but out of range); *ret untouched on failure.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

int parse_unsigned(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* "500ms", "1.5s", "5m", "24h", "7d"; us and min are understood too. A unit is needed, but for a plain "0". */
int parse_duration(const char *s, uint64_t *ret_usec);

/* "4096", "512K", "64M", "1G" (powers of 1024). */
int parse_size(const char *s, uint64_t *ret_bytes);

/* "25%" (0 to 100 000). */
int parse_percent(const char *s, unsigned *ret);

/* "TERM", "SIGTERM", "term", "15", "RTMIN+3"; 1 to SIGRTMAX. */
int parse_signal(const char *s, int *ret);

/* Octal file mode, "0660" or "660", up to 07777. */
int parse_mode(const char *s, unsigned *ret);

/* true/false, yes/no, on/off in lower case, as YAML users write them. */
int parse_bool(const char *s, bool *ret);

/* "SIGTERM"; for a number without a name "SIGRTMIN+3" or "signal 99". Static storage or `buffer`. */
#define SIGNAL_NAME_SIZE 32
const char *signal_to_string(int signal, char buffer[SIGNAL_NAME_SIZE]);

/* For people: "812", "64K", "12.3M", "1.2G" (powers of 1024). Returns buffer. */
#define SIZE_TEXT_SIZE 16
const char *size_to_text(uint64_t bytes, char buffer[SIZE_TEXT_SIZE]);

/* For people: "120 ms", "1.2 s", "4 min 10 s", "3 h 5 min". Returns buffer. */
#define DURATION_TEXT_SIZE 48
const char *duration_to_text(uint64_t usec, char buffer[DURATION_TEXT_SIZE]);

/* As a configuration would write it, exactly: "500ms", "10s", "5m"; parse_duration() gives the same value back. */
const char *duration_to_config(uint64_t usec, char buffer[DURATION_TEXT_SIZE]);
