/* Users, groups and capabilities. Those of files are looked up where they are read, those of processes when all of them is known: validate-identity.c */
#include "config/values.h"

#include "base/linux-names.h"
#include "base/parse.h"
#include "base/strv.h"
#include "config/accounts.h"
#include "config/section.h"

#include <errno.h>
#include <string.h>

#define ID_MAX        (UINT32_MAX - 1) /* the last one means "none" to chown() */
#define NAME_MAX_SIZE 256
#define GROUPS_MAX    256 /* that a configuration may list */

/* Looking one up */

static const char *kind_of(bool is_group)
{
    return is_group ? "group" : "user";
}

void value_account_failure(struct reader *reader, const struct place *place, const char *text,
                           bool is_group, int error)
{
    const char *kind = kind_of(is_group);
    switch (-error) {
    case ENOMEM:
        reader->errors->no_memory = true;
        break;
    case EAGAIN: /* It will be asked, and then all is read again. */
        break;
    case ENOENT:
        reader_error(reader, place,
                     "'%.64s' is wrong here, expected the name or number of a %s of this system",
                     text, kind);
        break;
    case ERANGE:
        reader_error(reader, place,
                     "'%.64s' is out of range, expected the name or number of a %s of this system",
                     text, kind);
        break;
    case ETIMEDOUT:
        reader_error(reader, place,
                     "the %s '%.64s' is not in /etc/%s, and the directory service did not answer "
                     "within %d s: see to it (nsswitch.conf), or write the number",
                     kind, text, is_group ? "group" : "passwd",
                     (int)(NAMES_PATIENCE_USEC / USEC_PER_SEC));
        break;
    default:
        reader_error(reader, place, "the %s '%.64s' cannot be looked up: %s", kind, text,
                     strerror(-error));
        break;
    }
}

/* 0, or -errno for value_account_failure(). */
int value_find_group(struct reader *reader, const char *text, gid_t *ret)
{
    uint64_t number;
    if (!accounts_is_number(text))
        return names_find_group(reader->names, text, ret);
    int r = parse_unsigned(text, 0, ID_MAX, &number);
    if (r == 0)
        *ret = (gid_t)number;
    return r;
}

static int find_user_id(struct reader *reader, const char *text, uid_t *ret)
{
    const struct names_user *user;
    uint64_t number;
    int r;
    if (accounts_is_number(text)) {
        r = parse_unsigned(text, 0, ID_MAX, &number);
        if (r == 0)
            *ret = (uid_t)number;
    } else {
        r = names_find_user(reader->names, text, &user);
        if (r == 0)
            *ret = user->uid;
    }
    return r;
}

/* Of a file */

static const char *read_name(struct reader *reader, const struct tree_node *node, bool is_group)
{
    char expected[VALUE_TEXT_SIZE];
    (void)snprintf(expected, sizeof(expected), "the name or number of a %s of this system",
                   kind_of(is_group));
    if (!value_is_scalar(reader, node, expected))
        return NULL;
    if (*node->text != '\0' && strlen(node->text) < NAME_MAX_SIZE &&
        strcspn(node->text, ":\n") == strlen(node->text))
        return node->text;
    char text[TREE_TEXT_SIZE];
    reader_error(reader, &node->place, "%s is wrong here, expected %s", tree_describe(node, text),
                 expected);
    return NULL;
}

static void read_id(struct reader *reader, const struct key *key, const struct tree_node *node,
                    void *object, bool is_group)
{
    struct config_id *field = (void *)((char *)object + key->offset);
    const char *text = read_name(reader, node, is_group);
    id_t id = 0;
    if (!text)
        return;
    int r = is_group ? value_find_group(reader, text, &id) : find_user_id(reader, text, &id);
    if (r < 0)
        value_account_failure(reader, &node->place, text, is_group, r);
    else
        *field = (struct config_id){.set = true, .id = id};
}

static void read_user(struct reader *reader, const struct key *key, const struct tree_node *node,
                      void *object)
{
    read_id(reader, key, node, object, false);
}

static void read_group(struct reader *reader, const struct key *key, const struct tree_node *node,
                       void *object)
{
    read_id(reader, key, node, object, true);
}

static bool format_id(const struct key *key UNUSED, const void *field, char buffer[VALUE_TEXT_SIZE])
{
    const struct config_id *id = field;
    (void)snprintf(buffer, VALUE_TEXT_SIZE, "%u", id->id);
    return id->set;
}

const struct value_type type_user = {
    .label = "user", .read = read_user, .print = value_print_scalar, .format = format_id};

const struct value_type type_group = {
    .label = "group", .read = read_group, .print = value_print_scalar, .format = format_id};

/* Of a process */

static void read_account_name(struct reader *reader, const struct key *key,
                              const struct tree_node *node, void *object, bool is_group)
{
    char **field = (void *)((char *)object + key->offset);
    const char *text = read_name(reader, node, is_group);
    if (!text)
        return;
    free(*field);
    *field = strdup(text);
    if (!*field)
        reader->errors->no_memory = true;
}

static void read_account_user(struct reader *reader, const struct key *key,
                              const struct tree_node *node, void *object)
{
    read_account_name(reader, key, node, object, false);
}

static void read_account_group(struct reader *reader, const struct key *key,
                               const struct tree_node *node, void *object)
{
    read_account_name(reader, key, node, object, true);
}

static void print_account_name(struct printer *printer, const struct key *key, const void *object)
{
    char *const *field = (const void *)((const char *)object + key->offset);
    print_key(printer, key->name);
    if (*field)
        print_text(printer, *field);
    else
        (void)fputs(" null", printer->stream);
    (void)fputc('\n', printer->stream);
}

const struct value_type type_account_user = {
    .label = "user", .read = read_account_user, .print = print_account_name};

const struct value_type type_account_group = {
    .label = "group", .read = read_account_group, .print = print_account_name};

static void read_account_groups(struct reader *reader, const struct key *key,
                                const struct tree_node *node, void *object)
{
    char ***field = (void *)((char *)object + key->offset);
    if (value_list_length(node) > GROUPS_MAX) {
        reader_error(reader, &node->place, "more than %d groups", GROUPS_MAX);
        return;
    }
    for (size_t i = 0; i < value_list_length(node); i++) {
        const char *text = read_name(reader, value_list_item(node, i), true);
        if (text && strv_append(field, text) < 0)
            reader->errors->no_memory = true;
    }
}

static void print_account_groups(struct printer *printer, const struct key *key, const void *object)
{
    char **const *field = (const void *)((const char *)object + key->offset);
    print_list(printer, key->name, *field);
}

const struct value_type type_account_groups = {
    .label = "list of groups", .read = read_account_groups, .print = print_account_groups};

/* Capabilities */

static void read_capability(struct reader *reader, const struct tree_node *node, uint64_t *mask)
{
    static const char expected[] = "a capability, as net_bind_service";
    char text[TREE_TEXT_SIZE];
    unsigned capability;
    if (!value_is_scalar(reader, node, expected))
        return;
    if (parse_capability(node->text, &capability) == 0)
        *mask |= UINT64_C(1) << capability;
    else
        reader_error(reader, &node->place, "%s is wrong here, expected %s (see capabilities(7))",
                     tree_describe(node, text), expected);
}

static void read_capabilities(struct reader *reader, const struct key *key,
                              const struct tree_node *node, void *object)
{
    struct config_capabilities *field = (void *)((char *)object + key->offset);
    field->set = true;
    for (size_t i = 0; i < value_list_length(node); i++)
        read_capability(reader, value_list_item(node, i), &field->mask);
}

static void print_capabilities(struct printer *printer, const struct key *key, const void *object)
{
    const struct config_capabilities *field = (const void *)((const char *)object + key->offset);
    char *names[CAPABILITIES_MAX + 1] = {NULL};
    size_t n = 0;
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++)
        if (field->mask >> i & 1)
            names[n++] = (char *)(uintptr_t)capability_name(i);
    if (field->set) {
        print_list(printer, key->name, names);
        return;
    }
    print_key(printer, key->name);
    (void)fputs(" null\n", printer->stream);
}

const struct value_type type_capabilities = {
    .label = "list of capabilities", .read = read_capabilities, .print = print_capabilities};
