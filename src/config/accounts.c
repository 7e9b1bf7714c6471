#include "config/accounts.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ID_MAX     (UINT32_MAX - 1) /* the last one means "none" to chown() */
#define FIELDS_MAX 7

struct field {
    const char *text;
    size_t length;
};

static bool is_text(const struct field *field, const char *text)
{
    return strlen(text) == field->length && memcmp(field->text, text, field->length) == 0;
}

/* The fields of a line that begins at `line`; the number of them. */
static size_t split_line(const char *line, struct field fields[FIELDS_MAX])
{
    size_t n = 0;
    for (const char *at = line;; at++) {
        size_t length = strcspn(at, ":\n");
        if (n == FIELDS_MAX - 1)
            length = strcspn(at, "\n");
        fields[n++] = (struct field){.text = at, .length = length};
        at += length;
        if (*at != ':' || n == FIELDS_MAX)
            return n;
    }
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line == '\n' ? line + 1 : line;
}

static bool read_id(const struct field *field, id_t *ret)
{
    char text[16];
    uint64_t id;
    if (field->length == 0 || field->length >= sizeof(text))
        return false;
    memcpy(text, field->text, field->length);
    text[field->length] = '\0';
    if (parse_unsigned(text, 0, ID_MAX, &id) < 0)
        return false;
    *ret = (id_t)id;
    return true;
}

bool accounts_is_number(const char *text)
{
    uint64_t number;
    return parse_unsigned(text, 0, UINT64_MAX, &number) != -EINVAL;
}

void names_user_clear(struct names_user *user)
{
    free(user->name);
    free(user->home);
    free(user->shell);
    free(user->groups);
    *user = (struct names_user){0};
}

/* name:password:gid:member,member */
static bool has_member(const struct field *members, const char *name)
{
    size_t length = strlen(name);
    for (size_t at = 0; at < members->length;) {
        size_t n = 0;
        while (at + n < members->length && members->text[at + n] != ',')
            n++;
        if (n == length && memcmp(members->text + at, name, n) == 0)
            return true;
        at += n + 1;
    }
    return false;
}

static int add_group(struct names_user *user, gid_t gid)
{
    if (user->n_groups == NAMES_GROUPS_MAX)
        return -E2BIG;
    gid_t *larger = reallocarray(user->groups, user->n_groups + 1, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    user->groups = larger;
    larger[user->n_groups++] = gid;
    return 0;
}

static int add_groups(struct names_user *user, const char *group)
{
    struct field fields[FIELDS_MAX];
    id_t gid;
    for (const char *line = group; *line != '\0'; line = next_line(line)) {
        if (split_line(line, fields) < 4 || !read_id(&fields[2], &gid) ||
            !has_member(&fields[3], user->name))
            continue;
        int r = add_group(user, gid);
        if (r < 0)
            return r;
    }
    return 0;
}

/* name:password:uid:gid:about:home:shell */
static int take_user(const struct field fields[FIELDS_MAX], id_t uid, const char *group,
                     struct names_user *ret)
{
    id_t gid;
    if (!read_id(&fields[3], &gid))
        return -ENOENT;
    CLEANUP(names_user_clear)
    struct names_user user = {.uid = uid,
                              .gid = gid,
                              .name = strndup(fields[0].text, fields[0].length),
                              .home = strndup(fields[5].text, fields[5].length),
                              .shell = strndup(fields[6].text, fields[6].length)};
    if (!user.name || !user.home || !user.shell)
        return -ENOMEM;
    int r = add_groups(&user, group);
    if (r < 0)
        return r;
    *ret = user;
    user = (struct names_user){0};
    return 0;
}

int accounts_find_user(const char *passwd, const char *group, const char *key,
                       struct names_user *ret)
{
    struct field fields[FIELDS_MAX];
    const bool by_number = accounts_is_number(key);
    id_t uid;
    for (const char *line = passwd; *line != '\0'; line = next_line(line)) {
        if (split_line(line, fields) < FIELDS_MAX || !read_id(&fields[2], &uid) ||
            fields[0].length == 0)
            continue;
        char number[16];
        (void)snprintf(number, sizeof(number), "%u", uid);
        if (by_number ? strcmp(number, key) == 0 : is_text(&fields[0], key))
            return take_user(fields, uid, group, ret);
    }
    return -ENOENT;
}

int accounts_find_group(const char *group, const char *name, gid_t *ret)
{
    struct field fields[FIELDS_MAX];
    id_t gid;
    for (const char *line = group; *line != '\0'; line = next_line(line))
        if (split_line(line, fields) >= 3 && is_text(&fields[0], name) &&
            read_id(&fields[2], &gid)) {
            *ret = gid;
            return 0;
        }
    return -ENOENT;
}
