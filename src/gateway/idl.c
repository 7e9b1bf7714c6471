/*
 * By recursive descent, straight from the text: each function reads what its name says from where the reader is, and leaves it behind that.
 */
#include "gateway/idl.h"

#include "base/macros.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct reader {
    const char *at;
    unsigned depth;
};

static int read_type(struct reader *reader, json_t **ret);

/* Takes over both; NULL is want of memory. */
static int put(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) < 0 ? -ENOMEM : 0;
}

static void skip(struct reader *reader)
{
    for (;;) {
        reader->at += strspn(reader->at, " \t\n");
        if (*reader->at != '#')
            return;
        reader->at += strcspn(reader->at, "\n");
    }
}

static bool take(struct reader *reader, const char *mark)
{
    skip(reader);
    size_t length = strlen(mark);
    if (strncmp(reader->at, mark, length) != 0)
        return false;
    reader->at += length;
    return true;
}

static int read_name(struct reader *reader, char name[IDL_NAME_MAX + 1])
{
    skip(reader);
    size_t length = 0;
    while (isalnum((unsigned char)reader->at[length]) || reader->at[length] == '_')
        length++;
    if (length == 0 || length > IDL_NAME_MAX || !isalpha((unsigned char)*reader->at))
        return -EINVAL;
    (void)snprintf(name, IDL_NAME_MAX + 1, "%.*s", (int)length, reader->at);
    reader->at += length;
    return 0;
}

/* An `object` is any value. */
static const struct basic {
    const char *name, *type, *format;
} basics[] = {
    {"object", NULL, NULL},      {"string", "string", NULL}, {"bool", "boolean", NULL},
    {"int", "integer", "int64"}, {"float", "number", NULL},
};

static const struct basic *find_basic(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(basics); i++)
        if (strcmp(basics[i].name, name) == 0)
            return &basics[i];
    return NULL;
}

static int read_named(struct reader *reader, json_t **ret)
{
    char name[IDL_NAME_MAX + 1];
    if (read_name(reader, name) < 0)
        return -EINVAL;
    const struct basic *basic = find_basic(name);
    if (!basic && !isupper((unsigned char)*name))
        return -EINVAL;
    json_t *schema = basic ? json_pack("{s:s*, s:s*}", "type", basic->type, "format", basic->format)
                           : json_pack("{s:s+}", "$ref", IDL_REFERENCE, name);
    if (!schema)
        return -ENOMEM;
    *ret = schema;
    return 0;
}

/* Of an array or a map, whose marks were taken. */
static int read_container(struct reader *reader, const char *type, const char *member, json_t **ret)
{
    json_auto_t *inner = NULL;
    int r = read_type(reader, &inner);
    if (r < 0)
        return r;
    json_t *schema = json_pack("{s:s, s:O}", "type", type, member, inner);
    if (!schema)
        return -ENOMEM;
    *ret = schema;
    return 0;
}

static int read_member(struct reader *reader, const char *name, json_t *properties,
                       json_t *required)
{
    json_t *schema = NULL;
    bool optional = take(reader, "?");
    if (json_object_get(properties, name))
        return -EINVAL;
    int r = read_type(reader, &schema);
    if (r == 0)
        r = put(properties, name, schema);
    if (r == 0 && !optional && json_array_append_new(required, json_string(name)) < 0)
        r = -ENOMEM;
    return r;
}

/* OpenAPI 3.0 knows no empty list of what is required. */
static int make_structure(json_t *properties, json_t *required, json_t **ret)
{
    json_t *schema = json_pack("{s:s, s:O, s:O}", "type", "object", "properties", properties,
                               "required", required);
    if (!schema)
        return -ENOMEM;
    if (json_array_size(required) == 0)
        (void)json_object_del(schema, "required");
    *ret = schema;
    return 0;
}

/* Behind its bracket and its first member's name and colon. */
static int read_structure(struct reader *reader, char name[IDL_NAME_MAX + 1], json_t **ret)
{
    json_auto_t *properties = json_object(), *required = json_array();
    if (!properties || !required)
        return -ENOMEM;
    for (;;) {
        int r = read_member(reader, name, properties, required);
        if (r < 0)
            return r;
        if (take(reader, ")"))
            return make_structure(properties, required, ret);
        if (!take(reader, ",") || read_name(reader, name) < 0 || !take(reader, ":"))
            return -EINVAL;
    }
}

/* Behind its bracket and its first name. */
static int read_enum(struct reader *reader, char name[IDL_NAME_MAX + 1], json_t **ret)
{
    json_auto_t *names = json_array();
    for (;;) {
        if (json_array_append_new(names, json_string(name)) < 0)
            return -ENOMEM;
        if (take(reader, ")"))
            break;
        if (!take(reader, ",") || read_name(reader, name) < 0)
            return -EINVAL;
    }
    json_t *schema = json_pack("{s:s, s:O}", "type", "string", "enum", names);
    if (!schema)
        return -ENOMEM;
    *ret = schema;
    return 0;
}

/* A structure or an enum, which differ behind their first name. */
static int read_bracket(struct reader *reader, json_t **ret)
{
    char name[IDL_NAME_MAX + 1];
    if (take(reader, ")")) {
        json_auto_t *nothing = json_object(), *none = json_array();
        return make_structure(nothing, none, ret);
    }
    if (read_name(reader, name) < 0)
        return -EINVAL;
    return take(reader, ":") ? read_structure(reader, name, ret) : read_enum(reader, name, ret);
}

static int read_type(struct reader *reader, json_t **ret)
{
    int r;
    if (reader->depth == IDL_DEPTH_MAX)
        return -EINVAL;
    reader->depth++;
    if (take(reader, "[]"))
        r = read_container(reader, "array", "items", ret);
    else if (take(reader, "[string]"))
        r = read_container(reader, "object", "additionalProperties", ret);
    else if (take(reader, "("))
        r = read_bracket(reader, ret);
    else
        r = read_named(reader, ret);
    reader->depth--;
    return r;
}

static bool is_bounded(const char *text)
{
    return strnlen(text, IDL_TEXT_MAX + 1) <= IDL_TEXT_MAX;
}

int idl_read_type(const char *text, json_t **ret, const char **ret_where)
{
    json_auto_t *schema = NULL;
    struct reader reader = {.at = text};
    (void)take(&reader, "?");
    int r = is_bounded(text) ? read_type(&reader, &schema) : -EINVAL;
    skip(&reader);
    if (r == 0 && *reader.at != '\0')
        r = -EINVAL;
    if (r < 0) {
        *ret_where = reader.at;
        return r;
    }
    *ret = TAKE_PTR(schema);
    return 0;
}

/* The comment that stands right before what is next, its lines joined; NULL: there is none. *ret_failed: nor is there memory. */
static char *read_comment(struct reader *reader, bool *ret_failed)
{
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    *ret_failed = !stream;
    if (!stream)
        return NULL;
    for (;;) {
        size_t blank = strspn(reader->at, " \t\n");
        reader->at += blank;
        if (*reader->at != '#')
            break;
        reader->at += 1 + strspn(reader->at + 1, " ");
        size_t length = strcspn(reader->at, "\n");
        (void)fprintf(stream, "%s%.*s", ftell(stream) > 0 ? " " : "", (int)length, reader->at);
        reader->at += length;
    }
    *ret_failed = fclose(stream) != 0;
    return *ret_failed || size == 0 ? NULL : TAKE_PTR(text);
}

static int read_declaration(struct reader *reader, const char *keyword, json_t *members)
{
    char word[IDL_NAME_MAX + 1], name[IDL_NAME_MAX + 1];
    bool failed;
    json_auto_t *schema = NULL;
    CLEANUP_FREE char *comment = read_comment(reader, &failed);
    if (failed)
        return -ENOMEM;
    if (*reader->at == '\0')
        return 0;
    if (read_name(reader, word) < 0 || strcmp(word, keyword) != 0 || read_name(reader, name) < 0 ||
        json_object_get(members, name) || !take(reader, "("))
        return -EINVAL;
    int r = read_bracket(reader, &schema);
    if (r == 0 && comment)
        r = put(schema, "description", json_string(comment));
    return r < 0 ? r : put(members, name, json_incref(schema));
}

int idl_read_members(const char *text, const char *keyword, json_t **ret, const char **ret_where)
{
    json_auto_t *members = json_object();
    struct reader reader = {.at = text};
    int r = !members ? -ENOMEM : is_bounded(text) ? 0 : -EINVAL;
    while (r == 0 && *reader.at != '\0')
        r = read_declaration(&reader, keyword, members);
    if (r < 0) {
        *ret_where = reader.at;
        return r;
    }
    *ret = TAKE_PTR(members);
    return 0;
}
