/*
 * screen.h - text for people: safe for terminals, aligned, coloured and cut to the width where the output is a terminal.
 *
 * Whatever comes from a worker or a configuration goes through text_clean() before it is written.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stdio.h>

struct screen {
    bool terminal;
    bool colour;
    size_t width, height; /* SIZE_MAX unless a terminal */
};

/* Looks at the fd anew: a window may have been resized. NO_COLOR and TERM=dumb switch colours off. */
struct screen screen_look(int fd);

enum tone { TONE_PLAIN, TONE_BOLD, TONE_DIM, TONE_GOOD, TONE_BUSY, TONE_BAD };

/* READY is good, FATAL bad, STARTING busy … in whatever case it is written. */
enum tone tone_of_state(const char *state);
/* The sequences that begin and end a tone; "" without colour. */
const char *tone_begin(const struct screen *screen, enum tone tone);
const char *tone_end(const struct screen *screen, enum tone tone);

/*
 * A copy in which nothing steers a terminal: blanks for line ends and tabs, '?' for other control characters (C1 and
 * those that change the direction of text included) and for what is no UTF-8. NULL gives "". malloc-ed.
 */
char *text_clean(const char *text);
/* How many columns a clean text takes. */
size_t text_width(const char *clean);
/* How many of its bytes fit into so many columns. */
size_t text_fit(const char *clean, size_t columns);

#define TABLE_COLUMNS_MAX 16

struct table {
    size_t n_columns;
    unsigned right; /* bit per column: aligned to the right */
    /* Columns that are left out where the screen is too narrow for all, the first of these first. Borrowed. */
    const size_t *expendable;
    size_t n_expendable;
    size_t n_cells;
    struct table_cell {
        char *text;
        enum tone tone;
    } * cells; /* row by row */
};

#define TABLE_EXPENDABLE(columns) .expendable = (columns), .n_expendable = ARRAY_SIZE(columns)

/* Appends a cell, cleaned. */
void table_add(struct table *table, enum tone tone, const char *format, ...) PRINTF_LIKE(3, 4);
void table_print(const struct table *table, const struct screen *screen, size_t indent,
                 FILE *stream);
void table_clear(struct table *table);
#define CLEANUP_TABLE CLEANUP(table_clear)

/* A tool for people has nothing better to do than to say so and leave. */
__attribute__((noreturn)) void die_of_memory(void);
