/* cells.h - table cells that several commands show. What is not known is '-'. */
#pragma once

#include "reloaderctl/screen.h"

#include <jansson.h>
#include <stdint.h>

/* A whole row, dim. */
void add_titles(struct table *table, const char *const *titles);

/* Members of an object. */
void add_number(struct table *table, json_t *object, const char *name);
void add_size(struct table *table, json_t *object, const char *name);
void add_percent(struct table *table, json_t *object, const char *name);

/* "0.3%", "87.2%", "812%". Returns buffer. */
#define PERCENT_TEXT_SIZE 32
const char *percent_to_text(double percent, char buffer[PERCENT_TEXT_SIZE]);

/* LISTENER, ADDRESS, QUEUE, BACKLOG, DROPS: the row of one, for a table that LISTENER_TABLE initializes. */
#define LISTENER_COLUMNS 5
#define LISTENER_TABLE   .n_columns = LISTENER_COLUMNS, .right = 1 << 2 | 1 << 3 | 1 << 4
void add_listener_titles(struct table *table);
void add_listener(struct table *table, json_t *listener);
