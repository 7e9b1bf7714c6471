/*
 * strv.h - NULL-terminated arrays of strings, as execve() wants them, and formatted strings.
 *
 * A `char **` that owns its strings; NULL is an empty one. Functions return 0 or -ENOMEM.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

char **strv_free(char **v);
DEFINE_FREEP(char **, strv_free)
#define CLEANUP_STRV CLEANUP(strv_freep)

size_t strv_length(char *const *v);
bool strv_equal(char *const *a, char *const *b);
bool strv_contains(char *const *v, const char *s);
int strv_copy(char *const *v, char ***ret);

/* Appends a copy of s; the array grows by one. */
int strv_append(char ***v, const char *s);
/* Appends s itself, which must be malloc-ed; it is freed on failure. */
int strv_consume(char ***v, char *s);
int strv_appendf(char ***v, const char *format, ...) PRINTF_LIKE(2, 3);

/* Environment blocks ("NAME=value"): the value inside v, or NULL. */
const char *strv_env_get(char *const *v, const char *name);
/* Sets NAME=value in place of an earlier entry of that name, else appends. */
int strv_env_set(char ***v, const char *name, const char *value);
/* Removes every entry whose name `matches(name)`. Keeps the order. */
void strv_env_remove_if(char **v, bool (*matches)(const char *name, size_t length));

/* asprintf() that returns NULL when memory is short. The caller frees. */
char *string_format(const char *format, ...) PRINTF_LIKE(1, 2);
/* In place: every byte that belongs to no UTF-8 character becomes '?', so that JSON can hold it. */
void string_make_utf8(char *s);
bool string_starts_with(const char *s, const char *prefix);

/* Strings may be NULL: equal if both are, or if their text is. */
bool string_equal(const char *a, const char *b);

#define STRV_FOREACH(s, v) for (char *const *s = (v); s && *s; s++)
