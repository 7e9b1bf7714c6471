/* What a document consists of: for document.c, which builds it, render.c and settle.c. */
#pragma once

#include "config/keys.h"
#include "import/document.h"

#define DEPTH_MAX 6

enum entry_type { ENTRY_NOTE, ENTRY_VALUE, ENTRY_SECTION };

struct entry {
    enum entry_type type;
    unsigned depth;
    struct origin origin;
    char *key;
    char *text;   /* of a note, or the value */
    char *reason; /* why it is a comment; NULL: it is none by itself */
    bool insists; /* if it is refused, so is the section that it is in */
    bool live;    /* no comment, as of the last rendering; and its line there */
    unsigned line;
};

/* What may stand in a mapping. */
enum frame_type {
    FRAME_KEYS,    /* the keys of a table */
    FRAME_NAMES,   /* names of sockets or programs; each has the keys of the table */
    FRAME_ANY,     /* as in `environment` */
    FRAME_UNKNOWN, /* this version does not have it: all in it is a comment anyway */
};

struct frame {
    enum frame_type type;
    const struct key_table *table;
};

struct document {
    struct entry *entries;
    size_t n_entries, n_allocated;
    struct frame frames[DEPTH_MAX + 1]; /* what is open */
    unsigned depth;
    unsigned n_refused; /* notes that are refusals */
    bool no_memory;
};

/* The whole text, malloc-ed, and each entry's line in it; NULL when memory is short. */
char *document_render(struct document *document);
/* Until config_load() takes it. As document_write(). */
int document_settle(struct document *document, char **ret_text, char **ret_error);
