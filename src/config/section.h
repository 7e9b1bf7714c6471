/*
 * section.h - reading and printing mappings by their key tables.
 */
#pragma once

#include "config/keys.h"

/* An error at `place` (NULL: where the innermost scope is), with the path of the scope. */
void reader_error(struct reader *reader, const struct place *place, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Reads the keys of a table out of `node` into `object`; NULL gives the defaults alone. */
void section_read(struct reader *reader, const struct key_table *table,
                  const struct tree_node *node, void *object);
/* Each required key is there, or an error says so. */
void section_require(struct reader *reader, const struct key_table *table,
                     const struct tree_node *node);
void section_print(struct printer *printer, const struct key_table *table, const void *object);

/* "  name:" with the printer's indent, ready for " value\n". */
void print_key(struct printer *printer, const char *name);
/* Prints " TEXT" as a YAML scalar. */
void print_text(struct printer *printer, const char *text);
/* "name: [a, b]\n" */
void print_list(struct printer *printer, const char *name, char *const *items);
