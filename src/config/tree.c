#include "config/tree.h"

#include "base/strv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define PATH_SIZE 200

/* The nodes of a tree go together, so every allocation hangs on one chain and nobody frees a single one. */
struct tree_block {
    struct tree_block *next;
    size_t size; /* of the data */
    max_align_t data[];
};

struct anchor {
    const char *name;
    struct tree_node *node;
};

struct parser {
    yaml_parser_t yaml;
    struct tree *tree;
    struct errors *errors;
    struct place start;
    const char *text;
    unsigned depth;
    const char *path[TREE_DEPTH_MAX]; /* the key that is being read at each depth; NULL in lists */
    size_t nodes;                     /* written in this document */
    size_t n_anchors;
    struct anchor anchors[TREE_ANCHORS_MAX];
};

void tree_clear(struct tree *tree)
{
    for (struct tree_block *block = tree->blocks, *next; block; block = next) {
        next = block->next;
        explicit_bzero(block->data, block->size);
        free(block);
    }
    *tree = (struct tree){0};
}

void *tree_allocate(struct tree *tree, size_t size)
{
    struct tree_block *block = calloc(1, sizeof(struct tree_block) + size);
    if (!block)
        return NULL;
    block->next = tree->blocks;
    block->size = size;
    tree->blocks = block;
    return block->data;
}

static char *tree_copy_text(struct tree *tree, const char *text, size_t length)
{
    char *copy = tree_allocate(tree, length + 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

static struct place place_of(const struct parser *p, const yaml_mark_t *mark)
{
    struct place place = p->start;
    if (p->start.line > 0) {
        place.line = (unsigned)mark->line + 1;
        place.column = (unsigned)mark->column + 1;
    }
    return place;
}

#define fail_at(p, mark, ...)                                                                      \
    ({                                                                                             \
        struct place _place = place_of((p), (mark));                                               \
        errors_add((p)->errors, &_place, NULL, __VA_ARGS__);                                       \
        -EINVAL;                                                                                   \
    })

/* `listen: [::]:80` is what people write and no YAML: the brackets begin a list there. */
static const char *hint_for_line(const struct parser *p, size_t line)
{
    const char *begin = p->text;
    for (; begin && line > 0; line--) {
        begin = strchr(begin, '\n');
        begin = begin ? begin + 1 : NULL;
    }
    if (!begin)
        return "";
    if (begin[strspn(begin, " ")] == '\t')
        return " (YAML is indented by spaces, not by tabs)";
    size_t length = strcspn(begin, "\n");
    const char *bracket = memchr(begin, '[', length);
    const char *close = bracket ? memmem(bracket, length - (size_t)(bracket - begin), "]:", 2)
                                : NULL;
    return close ? " (an address with brackets needs quotes: \"[::]:8080\")" : "";
}

static int fail_parse(struct parser *p)
{
    yaml_parser_t *yaml = &p->yaml;
    if (yaml->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    const char *problem = yaml->problem ? yaml->problem : "cannot be read";
    if (yaml->error == YAML_READER_ERROR)
        return fail_at(p, &yaml->mark, "no YAML text: %s at byte %zu", problem,
                       yaml->problem_offset);
    char line[LINE_TEXT_SIZE];
    struct place place = place_of(p, &yaml->context_mark);
    if (!yaml->context)
        return fail_at(p, &yaml->problem_mark, "no valid YAML: %s%s", problem,
                       hint_for_line(p, yaml->problem_mark.line));
    /* `include: [*.yaml]` is what people write: a star begins an alias. */
    const char *hint = strstr(yaml->context, "an alias")
                           ? " (what begins with a star needs quotes: \"*.yaml\")"
                           : hint_for_line(p, yaml->problem_mark.line);
    return fail_at(p, &yaml->problem_mark, "no valid YAML: %s %s%s that began%s%s", problem,
                   string_starts_with(yaml->context, "while") ? "" : "in ", yaml->context,
                   line_to_text(place.line, line), hint);
}

static void delete_event(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}
#define CLEANUP_EVENT CLEANUP(delete_event)

static int next_event(struct parser *p, yaml_event_t *ret)
{
    return yaml_parser_parse(&p->yaml, ret) ? 0 : fail_parse(p);
}

static int new_node(struct parser *p, enum tree_type type, const yaml_mark_t *mark,
                    struct tree_node **ret)
{
    if (p->nodes++ >= TREE_WEIGHT_MAX)
        return fail_at(p, mark, "more than %d values", TREE_WEIGHT_MAX);
    struct tree_node *node = tree_allocate(p->tree, sizeof(struct tree_node));
    if (!node)
        return -ENOMEM;
    node->type = type;
    node->place = place_of(p, mark);
    node->weight = 1;
    *ret = node;
    return 0;
}

/* A child while its parent is still being read; arrays are made when their size is known. */
struct child {
    struct tree_node *key, *value;
};

struct children {
    struct child *list;
    size_t n, allocated;
};

static void children_clear(struct children *children)
{
    free(children->list);
}

static int children_add(struct children *children, struct tree_node *key, struct tree_node *value)
{
    if (children->n == children->allocated) {
        size_t allocated = MAX(children->allocated * 2, (size_t)8);
        struct child *larger = reallocarray(children->list, allocated, sizeof(struct child));
        if (!larger)
            return -ENOMEM;
        children->list = larger;
        children->allocated = allocated;
    }
    children->list[children->n++] = (struct child){key, value};
    return 0;
}

static bool has_key(const struct children *children, const char *key)
{
    for (size_t i = 0; i < children->n; i++)
        if (strcmp(children->list[i].key->text, key) == 0)
            return true;
    return false;
}

static int adopt_children(struct tree *tree, struct tree_node *node,
                          const struct children *children)
{
    node->n = children->n;
    node->items = tree_allocate(tree, (children->n + 1) * sizeof(struct tree_node *));
    if (node->type == TREE_MAPPING)
        node->keys = tree_allocate(tree, (children->n + 1) * sizeof(struct tree_node *));
    if (!node->items || (node->type == TREE_MAPPING && !node->keys))
        return -ENOMEM;
    for (size_t i = 0; i < children->n; i++) {
        node->items[i] = children->list[i].value;
        node->weight += children->list[i].value->weight;
        if (node->keys) {
            node->keys[i] = children->list[i].key;
            node->weight++;
        }
    }
    return 0;
}

static int read_node(struct parser *p, yaml_event_t *event, struct tree_node **ret);

static int check_weight(struct parser *p, const struct tree_node *node, const yaml_mark_t *mark)
{
    if (node->weight > TREE_WEIGHT_MAX)
        return fail_at(p, mark, "aliases expand to more than %d values", TREE_WEIGHT_MAX);
    return 0;
}

static int read_sequence(struct parser *p, struct tree_node *node, const yaml_mark_t *mark)
{
    CLEANUP(children_clear) struct children children = {0};
    for (;;) {
        CLEANUP_EVENT yaml_event_t event = {0};
        struct tree_node *item;
        int r = next_event(p, &event);
        if (r < 0)
            return r;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            break;
        r = read_node(p, &event, &item);
        if (r == 0)
            r = children_add(&children, NULL, item);
        if (r < 0)
            return r;
    }
    int r = adopt_children(p->tree, node, &children);
    return r < 0 ? r : check_weight(p, node, mark);
}

/* "programs.web.workers" for a key of the mapping that is being read. */
static const char *path_of(const struct parser *p, const char *key, char path[PATH_SIZE])
{
    size_t used = 0;
    for (unsigned depth = 0; depth < p->depth; depth++)
        if (p->path[depth] && used < PATH_SIZE)
            used += (size_t)snprintf(path + used, PATH_SIZE - used, "%.64s.", p->path[depth]);
    if (used < PATH_SIZE)
        (void)snprintf(path + used, PATH_SIZE - used, "%.64s", key);
    return path;
}

static int check_key(struct parser *p, const struct children *children, const struct tree_node *key,
                     const yaml_mark_t *mark)
{
    if (key->type != TREE_SCALAR)
        return fail_at(p, mark, "a key must be a plain text, no list and no mapping");
    if (children->n >= TREE_ENTRIES_MAX)
        return fail_at(p, mark, "more than %d keys in one mapping", TREE_ENTRIES_MAX);
    for (size_t i = 0; i < children->n; i++)
        if (strcmp(children->list[i].key->text, key->text) == 0) {
            char path[PATH_SIZE], line[LINE_TEXT_SIZE];
            struct place place = place_of(p, mark);
            /* Reading goes on: the other errors of the file want to be said as well. */
            errors_add(p->errors, &place, path_of(p, key->text, path),
                       "this key is there twice, first%s",
                       line_to_text(children->list[i].key->place.line, line));
            break;
        }
    return 0;
}

/* Keys of the mapping itself win over merged ones, earlier merged ones over later ones (YAML's `<<`). */
static int merge_mapping(struct parser *p, struct children *children, const struct tree_node *from,
                         const yaml_mark_t *mark)
{
    if (from->type != TREE_MAPPING)
        return fail_at(p, mark,
                       "'<<' merges mappings: expected an alias of a mapping, or a list of such");
    for (size_t i = 0; i < from->n; i++) {
        if (has_key(children, from->keys[i]->text))
            continue;
        if (children->n >= TREE_ENTRIES_MAX)
            return fail_at(p, mark, "more than %d keys in one mapping", TREE_ENTRIES_MAX);
        int r = children_add(children, from->keys[i], from->items[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int merge(struct parser *p, struct children *children, const struct tree_node *from,
                 const yaml_mark_t *mark)
{
    if (from->type != TREE_SEQUENCE)
        return merge_mapping(p, children, from, mark);
    for (size_t i = 0; i < from->n; i++) {
        int r = merge_mapping(p, children, from->items[i], mark);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_entry(struct parser *p, yaml_event_t *event, struct children *children,
                      struct tree_node **merged)
{
    CLEANUP_EVENT yaml_event_t value_event = {0};
    struct tree_node *key, *value;
    int r = read_node(p, event, &key);
    if (r == 0)
        r = check_key(p, children, key, &event->start_mark);
    if (r == 0)
        r = next_event(p, &value_event);
    if (r < 0)
        return r;
    p->path[p->depth - 1] = key->text;
    r = read_node(p, &value_event, &value);
    p->path[p->depth - 1] = NULL;
    if (r < 0)
        return r;
    if (!key->plain || strcmp(key->text, "<<") != 0)
        return children_add(children, key, value);
    if (*merged)
        return fail_at(p, &event->start_mark, "the key '<<' is there twice: write << : [*a, *b]");
    *merged = value;
    return 0;
}

static int read_mapping(struct parser *p, struct tree_node *node, const yaml_mark_t *mark)
{
    CLEANUP(children_clear) struct children children = {0};
    struct tree_node *merged = NULL;
    for (;;) {
        CLEANUP_EVENT yaml_event_t event = {0};
        int r = next_event(p, &event);
        if (r < 0)
            return r;
        if (event.type == YAML_MAPPING_END_EVENT)
            break;
        r = read_entry(p, &event, &children, &merged);
        if (r < 0)
            return r;
    }
    int r = merged ? merge(p, &children, merged, mark) : 0;
    if (r == 0)
        r = adopt_children(p->tree, node, &children);
    return r < 0 ? r : check_weight(p, node, mark);
}

static int read_scalar(struct parser *p, const yaml_event_t *event, struct tree_node *node)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (memchr(text, '\0', length))
        return fail_at(p, &event->start_mark, "a NUL character cannot be part of any value");
    node->text = tree_copy_text(p->tree, text, length);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return node->text ? 0 : -ENOMEM;
}

/* An anchor can be named only once its node is whole, so no tree ever contains itself. */
static int remember_anchor(struct parser *p, const yaml_char_t *name, struct tree_node *node,
                           const yaml_mark_t *mark)
{
    if (!name)
        return 0;
    struct anchor *anchor = NULL;
    for (size_t i = 0; i < p->n_anchors && !anchor; i++)
        if (strcmp(p->anchors[i].name, (const char *)name) == 0)
            anchor = &p->anchors[i];
    if (!anchor) {
        if (p->n_anchors == TREE_ANCHORS_MAX)
            return fail_at(p, mark, "more than %d anchors", TREE_ANCHORS_MAX);
        anchor = &p->anchors[p->n_anchors];
        anchor->name = tree_copy_text(p->tree, (const char *)name, strlen((const char *)name));
        if (!anchor->name)
            return -ENOMEM;
        p->n_anchors++;
    }
    anchor->node = node;
    return 0;
}

static int find_anchor(struct parser *p, const yaml_event_t *event, struct tree_node **ret)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = 0; i < p->n_anchors; i++)
        if (strcmp(p->anchors[i].name, name) == 0) {
            *ret = p->anchors[i].node;
            return 0;
        }
    return fail_at(p, &event->start_mark,
                   "the alias '*%.40s' has no complete anchor '&%.40s' before it", name, name);
}

static int check_tag(struct parser *p, const yaml_char_t *tag, const yaml_mark_t *mark)
{
    if (!tag)
        return 0;
    return fail_at(p, mark, "the tag '%.40s' means nothing here: leave it out", (const char *)tag);
}

static int read_node(struct parser *p, yaml_event_t *event, struct tree_node **ret)
{
    if (event->type == YAML_ALIAS_EVENT)
        return find_anchor(p, event, ret);

    const yaml_char_t *anchor, *tag;
    enum tree_type type;
    if (event->type == YAML_SCALAR_EVENT) {
        type = TREE_SCALAR;
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        type = TREE_SEQUENCE;
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        type = TREE_MAPPING;
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    } else {
        return fail_at(p, &event->start_mark, "no valid YAML: a value is missing");
    }

    struct tree_node *node;
    int r = check_tag(p, tag, &event->start_mark);
    if (r == 0)
        r = new_node(p, type, &event->start_mark, &node);
    if (r < 0)
        return r;
    if (p->depth >= TREE_DEPTH_MAX)
        return fail_at(p, &event->start_mark, "nested deeper than %d levels", TREE_DEPTH_MAX);
    p->depth++;
    switch (type) {
    case TREE_SCALAR:
        r = read_scalar(p, event, node);
        break;
    case TREE_SEQUENCE:
        r = read_sequence(p, node, &event->start_mark);
        break;
    case TREE_MAPPING:
        r = read_mapping(p, node, &event->start_mark);
        break;
    }
    p->depth--;
    if (r == 0)
        r = remember_anchor(p, anchor, node, &event->start_mark);
    if (r == 0)
        *ret = node;
    return r;
}

/* The stream: start, at most one document, end. */
static int read_stream(struct parser *p, struct tree_node **ret)
{
    struct tree_node *root = NULL;
    for (;;) {
        CLEANUP_EVENT yaml_event_t event = {0};
        int r = next_event(p, &event);
        if (r < 0)
            return r;
        if (event.type == YAML_STREAM_END_EVENT)
            break;
        if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_END_EVENT)
            continue;
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            if (root)
                return fail_at(p, &event.start_mark,
                               "a second document begins here: expected only one");
            continue;
        }
        r = read_node(p, &event, &root);
        if (r < 0)
            return r;
    }
    *ret = root;
    return 0;
}

int tree_parse(struct tree *tree, const char *text, size_t size, const struct place *start,
               struct errors *errors, struct tree_node **ret)
{
    struct parser *p = calloc(1, sizeof(struct parser));
    if (!p || !yaml_parser_initialize(&p->yaml)) {
        free(p);
        return -ENOMEM;
    }
    p->tree = tree;
    p->errors = errors;
    p->start = *start;
    p->text = text;
    yaml_parser_set_input_string(&p->yaml, (const unsigned char *)text, size);
    int r = read_stream(p, ret);
    yaml_parser_delete(&p->yaml);
    free(p);
    return r;
}
