/*
 * editor.h - lines as somebody types them on a terminal: with libedit edited, remembered and completed, without it (meson -Dshell=disabled) as the
 * terminal gives them.
 */
#pragma once

#include "base/macros.h"

struct editor;

struct editor_options {
    const char *prompt;
    const char *history; /* the file; NULL: nothing is remembered */
    /* Candidates for the end of `line`, as complete.h has them; a strv that the editor frees. */
    char **(*complete)(const char *line, void *userdata);
    void *userdata;
};

/* The options are borrowed for as long as it lives. Never fails: without what it would need, it does less. */
struct editor *editor_new(const struct editor_options *options);
/* Remembers, too. Returns NULL. */
struct editor *editor_free(struct editor *editor);
DEFINE_FREEP(struct editor *, editor_free)

/* A line without its end, malloc-ed; NULL: there are no more. */
char *editor_read(struct editor *editor);
