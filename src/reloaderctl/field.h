/* field.h - members of JSON objects, as they are needed to show them. */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* Cleaned for terminals (screen.h), "" if absent or no text; malloc-ed. */
char *get_text(json_t *object, const char *name);
/* The same, but its lines stay lines; each but the first begins with `indent`. */
char *get_lines(json_t *object, const char *name, const char *indent);
/* The same for a word of the interface, as people write it: "rolled back" for rolled_back. */
char *get_words(json_t *object, const char *name);
/* 0 if absent, negative or no number. */
uint64_t get_number(json_t *object, const char *name);
