/* line-print.h - a line that a worker printed, for people or machines. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* As it is, but on a terminal without what would steer that. `line` is without its end. */
void line_print(FILE *stream, bool terminal, const char *line, size_t size);
/* Onto stdout, of whom `of` names: a worker or, where several share a file, its program. */
void line_print_json(json_t *of, bool shared, const char *line, size_t size);
