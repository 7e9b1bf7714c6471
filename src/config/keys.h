/*
 * keys.h - the key tables: the one place that says which keys there are.
 *
 * A key knows its name, type, default (as text, read like any other value), range and a line of help. Reading, defaults,
 * validation, messages, --set, the key list and config_print() all follow these tables.
 */
#pragma once

#include "config/config.h"
#include "config/errors.h"
#include "config/names.h"
#include "config/tree.h"

/* Where the reader is: programs → web → reload. For the path in messages. */
struct scope {
    const struct scope *up;
    const char *name;
    const struct place *place;
};

/* Where a socket or program was written; parallel to the lists of the config. */
struct draft {
    const struct tree_node *key;   /* its name; of a private socket: the address */
    const struct tree_node *value; /* its mapping; of a private socket: NULL */
    bool broken;                   /* one of its keys is wrong by itself */
};

/* What the reader knows of each of config->files. */
struct source_file {
    struct tree_node *root; /* NULL: empty, or not to be read */
    bool known;             /* device and inode are: nothing is read twice */
    dev_t device;
    ino_t inode;
};

struct reader {
    struct config *config;
    struct tree *tree;                    /* all files' nodes */
    struct source_file *files;            /* parallel to config->files */
    size_t size, weight;                  /* of all files */
    const struct config_file *file;       /* that holds what is being read */
    struct errors *errors;
    struct names *names; /* users and groups */
    const struct scope *scope;
    struct config_program *program; /* the one that is being read, or NULL */
    char *host_node_name;
    struct draft *sockets, *programs;
    size_t n_named_sockets; /* those of `sockets:`; private ones follow */
};

struct printer {
    FILE *stream;
    unsigned indent;
    const struct config *config;
    const struct config_file *file; /* that holds what is being printed; NULL: the main one */
    bool failed; /* a text that YAML cannot hold, or no memory */
};

struct key;

#define VALUE_TEXT_SIZE 256

struct value_type {
    const char *label; /* for the key list; NULL: not listed by itself */
    /* Reads a node into the object that holds the key; errors go to the reader. */
    void (*read)(struct reader *reader, const struct key *key, const struct tree_node *node,
                 void *object);
    /* Prints "name: value" lines. */
    void (*print)(struct printer *printer, const struct key *key, const void *object);

    /* The rest is for types that are read by value_read_scalar(). `field` is the object at the key's offset. */
    int (*parse)(const struct key *key, const char *text, void *field); /* 0, -EINVAL, -ERANGE */
    bool (*format)(const struct key *key, const void *field,
                   char buffer[VALUE_TEXT_SIZE]); /* false: unset */
    void (*expect)(const struct key *key,
                   char buffer[VALUE_TEXT_SIZE]); /* "a number from 1 to 1024" */
};

struct key {
    const char *name;
    const struct value_type *type; /* NULL: not in this version */
    size_t offset;
    const char *default_text; /* NULL: unset */
    const char *default_help; /* what the key list says where default_text would not do */
    bool required;
    uint64_t min, max;
    const char *const *words;      /* of a choice, in the order of its enum; NULL-terminated */
    const char *const *later;      /* words that are not in this version */
    const struct key_table *table; /* of a section, or of what a map holds */
    const char *help;
};

/* A name that users of other tools look for. */
struct foreign_key {
    const char *name, *hint;
};
#define CALLED(ours) "called '" ours "' here"

struct key_table {
    const char *path;                  /* "programs.NAME" */
    const struct key *keys;            /* ended by one without a name */
    const struct foreign_key *foreign; /* likewise; may be NULL */
};

extern const struct foreign_key program_foreign[];
extern const struct key_table root_table, socket_table, program_table, health_table,
    gateway_table;
/* Of `stdout` and `stderr`, by enum config_stream. */
extern const struct key_table output_tables[];

/* All tables, NULL-terminated. */
extern const struct key_table *const key_tables[];

const struct key *key_find(const struct key_table *table, const char *name);
