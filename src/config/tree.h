/*
 * tree.h - YAML as a tree of nodes that know where they were written.
 *
 * Scalars are text: what a text means is decided by the key it belongs to, so `no` may be a name and 0660 a mode.
 * Anchors, aliases and `<<` merge keys are resolved; an alias shares the node of its anchor, and `weight` counts
 * what a walk over the expanded tree would visit, so that the bounds hold for what is meant, not for what is written.
 */
#pragma once

#include "base/macros.h"
#include "config/errors.h"

#include <stdbool.h>
#include <stddef.h>

#define TREE_DEPTH_MAX   32
#define TREE_WEIGHT_MAX  50000 /* nodes after the expansion of aliases */
#define TREE_ENTRIES_MAX 4096  /* of one mapping */
#define TREE_ANCHORS_MAX 256

enum tree_type { TREE_SCALAR, TREE_SEQUENCE, TREE_MAPPING };

struct tree_node {
    enum tree_type type;
    struct place place;
    const char *text;         /* SCALAR */
    bool plain;               /* SCALAR: written without quotes */
    size_t n;                 /* of items, or of keys and values */
    struct tree_node **keys;  /* MAPPING: scalars, all different */
    struct tree_node **items; /* SEQUENCE, and the values of a MAPPING */
    size_t weight;            /* itself and all below */
};

/* Owns the memory of its nodes, and wipes it in the end: there may be a password in it. What libyaml has read ahead it frees as it is. */
struct tree {
    struct tree_block *blocks;
    struct tree_node *root; /* NULL: an empty document */
};

void tree_clear(struct tree *tree);
/* Zeroed memory that lives as long as the tree, or NULL. */
void *tree_allocate(struct tree *tree, size_t size);
#define CLEANUP_TREE CLEANUP(tree_clear)

/*
 * Reads one YAML document from NUL-terminated text; *ret is NULL for an empty one. It begins at `start`, whose origin is
 * borrowed for the life of the tree; where that has no line, nodes have none. -EINVAL with the reason in `errors`, or -ENOMEM.
 */
int tree_parse(struct tree *tree, const char *text, size_t size, const struct place *start,
               struct errors *errors, struct tree_node **ret);

/*
 * Applies "KEY=VALUE": KEY is a path of keys with dots between (a key that exists may have dots itself), VALUE is YAML.
 * Mappings that are missing on the way are made; those on the way are copied, as an alias may share them.
 * -EINVAL with the reason in `errors`, or -ENOMEM.
 */
int tree_set(struct tree *tree, const char *set, struct errors *errors);

/* No value, ~ or null: the key is as good as not written. */
bool tree_is_null(const struct tree_node *node);

/* The value of a key, or NULL: no mapping, no such key, or a null. */
const struct tree_node *tree_get(const struct tree_node *mapping, const char *key);
/* The same two levels down; NULL if any is missing. */
const struct tree_node *tree_get2(const struct tree_node *mapping, const char *key,
                                  const char *inner);

/* For people: "a list", "a mapping", "'text'" (cut where long, without control characters). Returns buffer. */
#define TREE_TEXT_SIZE 80
const char *tree_describe(const struct tree_node *node, char buffer[TREE_TEXT_SIZE]);
