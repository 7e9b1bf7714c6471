/* Many files, one tree: what an included file defines is there as if the main one had it, at its end. */
#include "config/files.h"

#include "config/section.h"

#include <errno.h>
#include <string.h>

static const char *const sections[] = {"sockets", "programs"};

/* The index of a key, or n. */
static size_t find_key(const struct tree_node *mapping, const char *name)
{
    size_t i = 0;
    while (i < mapping->n && strcmp(mapping->keys[i]->text, name) != 0)
        i++;
    return i;
}

/* Of one file, or NULL: it has none, or no mapping, which is said. */
static struct tree_node *find_section(struct reader *reader, size_t number, const char *name)
{
    char text[TREE_TEXT_SIZE];
    const struct tree_node *root = reader->files[number].root;
    size_t i = root ? find_key(root, name) : 0;
    if (!root || i == root->n || tree_is_null(root->items[i]))
        return NULL;
    if (root->items[i]->type == TREE_MAPPING)
        return root->items[i];
    struct scope scope = {.name = name, .place = &root->items[i]->place};
    reader->scope = &scope;
    reader_error(reader, NULL, "%s is wrong here, expected names and what they mean (web: {…})",
                 tree_describe(root->items[i], text));
    reader->scope = NULL;
    return NULL;
}

static int fail_twice(struct reader *reader, const char *section, const struct tree_node *first,
                      const struct tree_node *second)
{
    struct scope up = {.name = section, .place = &second->place};
    struct scope scope = {.up = &up, .name = second->text, .place = &second->place};
    CLEANUP_FREE char *where = place_to_text(&first->place);
    if (!where)
        return -ENOMEM;
    reader->scope = &scope;
    reader_error(reader, NULL, "this name is there twice, first in %s: rename one of the two",
                 where);
    reader->scope = NULL;
    return 0;
}

/* Within one file the parser has complained already. */
static int check_twice(struct reader *reader, const char *section, const struct tree_node *merged,
                       const struct tree_node *key)
{
    for (size_t i = 0; i < merged->n; i++)
        if (merged->keys[i]->place.file != key->place.file &&
            strcmp(merged->keys[i]->text, key->text) == 0)
            return fail_twice(reader, section, merged->keys[i], key);
    return 0;
}

/* Both of two with the same name stay: what else is wrong with them wants to be said as well. */
static int append(struct reader *reader, const char *section, const struct tree_node *from,
                  struct tree_node *merged)
{
    for (size_t i = 0; i < from->n; i++) {
        int r = check_twice(reader, section, merged, from->keys[i]);
        if (r < 0)
            return r;
        merged->keys[merged->n] = from->keys[i];
        merged->items[merged->n] = from->items[i];
        merged->n++;
    }
    merged->weight += from->weight;
    return 0;
}

static int new_mapping(struct tree *tree, const struct place *place, size_t room,
                       struct tree_node **ret)
{
    struct tree_node *node = tree_allocate(tree, sizeof(*node));
    if (!node)
        return -ENOMEM;
    *node = (struct tree_node){.type = TREE_MAPPING, .place = *place, .weight = 1};
    node->keys = tree_allocate(tree, (room + 1) * sizeof(*node->keys));
    node->items = tree_allocate(tree, (room + 1) * sizeof(*node->items));
    if (!node->keys || !node->items)
        return -ENOMEM;
    *ret = node;
    return 0;
}

/* The entries of all files, or NULL where none has any. */
static int merge_section(struct reader *reader, const char *name, struct tree_node **ret)
{
    struct tree_node *parts[CONFIG_FILES_MAX + 1], *merged = NULL;
    size_t n_parts = 0, n_entries = 0;
    for (size_t i = 0; i < reader->config->n_files; i++) {
        struct tree_node *part = find_section(reader, i, name);
        if (!part)
            continue;
        parts[n_parts++] = part;
        n_entries += part->n;
        if (n_entries <= TREE_ENTRIES_MAX)
            continue;
        errors_add(reader->errors, &part->place, name, "more than %d entries in all files",
                   TREE_ENTRIES_MAX);
        break;
    }
    int r = n_parts > 0 ? new_mapping(reader->tree, &parts[0]->place, n_entries, &merged) : 0;
    for (size_t i = 0; r == 0 && i < n_parts; i++)
        r = append(reader, name, parts[i], merged);
    if (r == 0)
        *ret = merged;
    return r;
}

static int new_key(struct tree *tree, const char *name, const struct place *place,
                   struct tree_node **ret)
{
    struct tree_node *key = tree_allocate(tree, sizeof(*key));
    if (!key)
        return -ENOMEM;
    *key = (struct tree_node){
        .type = TREE_SCALAR, .place = *place, .text = name, .plain = true, .weight = 1};
    *ret = key;
    return 0;
}

/* The main file's keys, without those that are merged. */
static void copy_keys(const struct tree_node *from, struct tree_node *to)
{
    for (size_t i = 0; i < from->n; i++) {
        const char *name = from->keys[i]->text;
        if (strcmp(name, "include") == 0 || strcmp(name, sections[0]) == 0 ||
            strcmp(name, sections[1]) == 0)
            continue;
        to->keys[to->n] = from->keys[i];
        to->items[to->n] = from->items[i];
        to->n++;
    }
}

int files_merge(struct reader *reader)
{
    struct tree_node *old = reader->tree->root, *root;
    int r = new_mapping(reader->tree, &old->place, old->n + ARRAY_SIZE(sections), &root);
    if (r < 0)
        return r;
    copy_keys(old, root);
    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        struct tree_node *section = NULL, *key = NULL;
        r = merge_section(reader, sections[i], &section);
        if (r == 0 && section)
            r = new_key(reader->tree, sections[i], &section->place, &key);
        if (r < 0)
            return r;
        if (!section)
            continue;
        root->keys[root->n] = key;
        root->items[root->n] = section;
        root->n++;
    }
    reader->tree->root = root;
    return 0;
}
