/* Users and groups of the system, by name or number. They are looked up where the configuration is read. */
#include "config/values.h"

#include "base/parse.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#define ID_MAX (UINT32_MAX - 1) /* the last one means "none" to chown() */

/* 0 and a number; -ENOENT: it is a name. */
static int parse_number(const char *text, struct config_id *ret)
{
    uint64_t number;
    int r = parse_unsigned(text, 0, ID_MAX, &number);
    if (r == 0)
        *ret = (struct config_id){.set = true, .id = (id_t)number};
    return r == -EINVAL ? -ENOENT : r;
}

static int take_found(bool found, id_t id, struct config_id *ret)
{
    if (!found)
        return errno == ENOMEM ? -ENOMEM : -EINVAL;
    *ret = (struct config_id){.set = true, .id = id};
    return 0;
}

static int parse_user(const struct key *key UNUSED, const char *text, void *field)
{
    int r = parse_number(text, field);
    if (r != -ENOENT)
        return r;
    errno = 0;
    const struct passwd *user = getpwnam(text);
    return take_found(user != NULL, user ? user->pw_uid : 0, field);
}

static int parse_group(const struct key *key UNUSED, const char *text, void *field)
{
    int r = parse_number(text, field);
    if (r != -ENOENT)
        return r;
    errno = 0;
    const struct group *group = getgrnam(text);
    return take_found(group != NULL, group ? group->gr_gid : 0, field);
}

static bool format_id(const struct key *key UNUSED, const void *field, char buffer[VALUE_TEXT_SIZE])
{
    const struct config_id *id = field;
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%u", id->id);
    return id->set;
}

static void expect_user(const struct key *key UNUSED, char buffer[VALUE_TEXT_SIZE])
{
    strcpy(buffer, "the name or number of a user of this system");
}

static void expect_group(const struct key *key UNUSED, char buffer[VALUE_TEXT_SIZE])
{
    strcpy(buffer, "the name or number of a group of this system");
}

const struct value_type type_user = {
    .label = "user",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_user,
    .format = format_id,
    .expect = expect_user,
};

const struct value_type type_group = {
    .label = "group",
    .read = value_read_scalar,
    .print = value_print_scalar,
    .parse = parse_group,
    .format = format_id,
    .expect = expect_group,
};
