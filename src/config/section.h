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
/* One key of a table, before the others of it are read. */
void section_read_key(struct reader *reader, const struct key_table *table, const char *name,
                      const struct tree_node *node, void *object);
/* Says that a key is none of the table's, and which one may be meant. */
void section_unknown_key(struct reader *reader, const struct key_table *table,
                         const struct tree_node *key);
/* Each required key is there, or an error says so. */
void section_require(struct reader *reader, const struct key_table *table,
                     const struct tree_node *node);
void section_print(struct printer *printer, const struct key_table *table, const void *object);

/* "  name:" with the printer's indent, ready for " value\n". */
void print_key(struct printer *printer, const char *name);
/* Prints " TEXT" as a YAML scalar. */
void print_text(struct printer *printer, const char *text);
/*
 * What a template is called in the main file: %(here)s of another directory is spelled out. malloc-ed, or NULL with
 * printer->failed.
 */
char *printer_template(struct printer *printer, const char *text);
/* Does what is being printed come from a file in another directory than that of the main file? */
bool printer_is_elsewhere(const struct printer *printer);
/* "name: [a, b]\n" */
void print_list(struct printer *printer, const char *name, char *const *items);
