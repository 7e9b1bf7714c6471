/* Looking at a tree, and changing it by --set. */
#include "config/tree.h"

#include "base/strv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool tree_is_null(const struct tree_node *node)
{
    if (node->type != TREE_SCALAR || !node->plain)
        return false;
    return strcmp(node->text, "") == 0 || strcmp(node->text, "~") == 0 ||
           strcmp(node->text, "null") == 0;
}

const struct tree_node *tree_get(const struct tree_node *mapping, const char *key)
{
    if (!mapping || mapping->type != TREE_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->n; i++)
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return tree_is_null(mapping->items[i]) ? NULL : mapping->items[i];
    return NULL;
}

const struct tree_node *tree_get2(const struct tree_node *mapping, const char *key,
                                  const char *inner)
{
    return tree_get(tree_get(mapping, key), inner);
}

/* Copies at most size - 1 bytes: control characters become '?', and "…" says that something was cut. */
static void copy_for_people(char *to, size_t size, const char *from)
{
    static const char cut[] = "…";
    size_t n = strlen(from);
    bool whole = n < size;
    if (!whole) {
        n = size - sizeof(cut);
        /* Never cut a character of several bytes in half. */
        while (n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80)
            n--;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)from[i];
        to[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    memcpy(to + n, whole ? "" : cut, whole ? 1 : sizeof(cut));
}

const char *tree_describe(const struct tree_node *node, char buffer[TREE_TEXT_SIZE])
{
    char text[TREE_TEXT_SIZE - 2];
    switch (node->type) {
    case TREE_SCALAR:
        if (tree_is_null(node))
            return "nothing";
        copy_for_people(text, sizeof(text), node->text);
        (void)snprintf(buffer, TREE_TEXT_SIZE, "'%s'", text);
        return buffer;
    case TREE_SEQUENCE:
        return "a list";
    case TREE_MAPPING:
        return "a mapping";
    }
    return "";
}

/* What a path names first: the longest key there is that it begins with, else all up to the first dot. */
static size_t measure_segment(const struct tree_node *mapping, const char *path)
{
    size_t longest = 0;
    for (size_t i = 0; mapping && i < mapping->n; i++) {
        size_t length = strlen(mapping->keys[i]->text);
        if (length > longest && strncmp(path, mapping->keys[i]->text, length) == 0 &&
            (path[length] == '.' || path[length] == '\0'))
            longest = length;
    }
    return longest > 0 ? longest : strcspn(path, ".");
}

static struct tree_node *new_scalar(struct tree *tree, const char *text, size_t length,
                                    const struct place *place)
{
    struct tree_node *node = tree_allocate(tree, sizeof(struct tree_node));
    char *copy = tree_allocate(tree, length + 1);
    if (!node || !copy)
        return NULL;
    memcpy(copy, text, length);
    *node = (struct tree_node){
        .type = TREE_SCALAR, .place = *place, .text = copy, .plain = true, .weight = 1};
    return node;
}

/* A mapping of the same entries with room for one more. */
static struct tree_node *copy_mapping(struct tree *tree, const struct tree_node *from,
                                      const struct place *place)
{
    struct tree_node *node = tree_allocate(tree, sizeof(struct tree_node));
    if (!node)
        return NULL;
    *node = from ? *from : (struct tree_node){.type = TREE_MAPPING, .place = *place, .weight = 1};
    node->keys = tree_allocate(tree, (node->n + 1) * sizeof(struct tree_node *));
    node->items = tree_allocate(tree, (node->n + 1) * sizeof(struct tree_node *));
    if (!node->keys || !node->items)
        return NULL;
    for (size_t i = 0; i < node->n; i++) {
        node->keys[i] = from->keys[i];
        node->items[i] = from->items[i];
    }
    return node;
}

static struct tree_node **find_entry(struct tree *tree, struct tree_node *mapping, const char *key,
                                     size_t length, const struct place *place)
{
    for (size_t i = 0; i < mapping->n; i++)
        if (strlen(mapping->keys[i]->text) == length &&
            strncmp(mapping->keys[i]->text, key, length) == 0)
            return &mapping->items[i];
    size_t i = mapping->n;
    mapping->keys[i] = new_scalar(tree, key, length, place);
    if (!mapping->keys[i])
        return NULL;
    mapping->n++;
    return &mapping->items[i];
}

static int put(struct tree *tree, const char *path, struct tree_node *value, struct errors *errors)
{
    struct tree_node *root = tree->root, **at = &root;
    for (unsigned depth = 0;; depth++) {
        struct tree_node *old = *at && !tree_is_null(*at) ? *at : NULL;
        size_t length = measure_segment(old && old->type == TREE_MAPPING ? old : NULL, path);
        if (depth == TREE_DEPTH_MAX || length == 0) {
            errors_add(errors, &value->place, NULL,
                       "expected keys with single dots between, as programs.web.workers");
            return -EINVAL;
        }
        if (old && old->type != TREE_MAPPING) {
            errors_add(errors, &value->place, NULL,
                       "there is no '%s' to be set: what should hold it is no mapping", path);
            return -EINVAL;
        }
        struct tree_node *mapping = copy_mapping(tree, old, &value->place);
        if (!mapping)
            return -ENOMEM;
        *at = mapping;
        at = find_entry(tree, mapping, path, length, &value->place);
        if (!at)
            return -ENOMEM;
        if (path[length] == '\0')
            break;
        path += length + 1;
    }
    *at = value;
    tree->root = root;
    return 0;
}

int tree_set(struct tree *tree, const char *set, struct errors *errors)
{
    char shown[TREE_TEXT_SIZE];
    copy_for_people(shown, sizeof(shown), set);
    CLEANUP_FREE char *text = string_format("--set %s", shown);
    char *origin = text ? tree_allocate(tree, strlen(text) + 1) : NULL;
    if (!origin)
        return -ENOMEM;
    strcpy(origin, text);

    struct place place = {.origin = origin};
    const char *equals = strchr(set, '=');
    if (!equals) {
        errors_add(errors, &place, NULL, "expected KEY=VALUE, as programs.web.workers=8");
        return -EINVAL;
    }
    CLEANUP_FREE char *path = strndup(set, (size_t)(equals - set));
    if (!path)
        return -ENOMEM;
    struct tree_node *value = NULL;
    int r = tree_parse(tree, equals + 1, strlen(equals + 1), &place, errors, &value);
    if (r == 0 && !value) {
        value = new_scalar(tree, "", 0, &place);
        r = value ? 0 : -ENOMEM;
    }
    return r < 0 ? r : put(tree, path, value, errors);
}
