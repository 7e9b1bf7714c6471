/*
 * Keys are compared by what config_print() writes for them, so every key of the tables is, and none can be forgotten.
 */
#include "config/diff.h"

#include "base/strv.h"
#include "config/section.h"
#include "config/values.h"

#include <errno.h>
#include <string.h>

#define VALUE_SHOWN_MAX 60

/* Comparing keys */

struct side {
    const struct config *config;
    const void *object;
    const struct config_file
        *file; /* that holds it: in another directory %(here)s means something else */
};

/* "name: value\n" as it would be printed; NULL when memory is short. */
static char *print_one(const struct key *key, const struct side *side)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    struct printer printer = {.stream = stream, .config = side->config, .file = side->file};
    key->type->print(&printer, key, side->object);
    if (fclose(stream) != 0 || printer.failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* The value alone, where it is short and of one line. An environment may hold what nobody should read in a log. */
static const char *short_value(const struct key *key, char *text)
{
    size_t length = strlen(text);
    char *value = strchr(text, ':');
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = '\0';
    if (!value || strchr(text, '\n') || strlen(value) > VALUE_SHOWN_MAX ||
        key->type == &type_environment)
        return NULL;
    value++;
    value += strspn(value, " ");
    return strcmp(value, "null") == 0 || strcmp(value, "~") == 0 ? "unset" : value;
}

static int note(const char *section, const struct key *key, char *from, char *to, char ***keys)
{
    const char *old = short_value(key, from), *new = short_value(key, to);
    if (!old || !new)
        return strv_appendf(keys, "%s%s%s", section, *section ? "." : "", key->name);
    return strv_appendf(keys, "%s%s%s: %s -> %s", section, *section ? "." : "", key->name, old,
                        new);
}

/* Not printed, so that there is no copy of it. */
static int compare_secret(const char *section, const struct key *key, const struct side *from,
                          const struct side *to, char ***keys)
{
    if (value_is_same_secret(key, from->object, to->object))
        return 0;
    return strv_appendf(keys, "%s.%s", section, key->name);
}

static bool is_list_of_objects(const struct key *key)
{
    return key->type == &type_sockets || key->type == &type_programs;
}

static int compare_keys(const struct key_table *table, const char *section, const struct side *from,
                        const struct side *to, char ***keys);

/* A section that may be absent as a whole. */
static int compare_gateway(const struct key *key, const struct side *from, const struct side *to,
                           char ***keys)
{
    const struct config_gateway *a = &from->config->gateway, *b = &to->config->gateway;
    if (a->is_on && b->is_on)
        return compare_keys(key->table, key->name, from, to, keys);
    if (!a->is_on && !b->is_on)
        return 0;
    CLEANUP_FREE char *address = address_to_text(a->is_on ? &a->address : &b->address);
    if (!address)
        return -ENOMEM;
    return strv_appendf(keys, a->is_on ? "%s: %s -> none" : "%s: none -> %s", key->name, address);
}

static int compare_keys(const struct key_table *table, const char *section, const struct side *from,
                        const struct side *to, char ***keys)
{
    for (const struct key *key = table->keys; key->name; key++) {
        if (!key->type || is_list_of_objects(key))
            continue;
        int r = 0;
        if (key_is_section(key)) {
            r = compare_keys(key->table, key->name, from, to, keys);
        } else if (key->type == &type_gateway) {
            r = compare_gateway(key, from, to, keys);
        } else if (key->type == &type_secret) {
            r = compare_secret(section, key, from, to, keys);
        } else {
            CLEANUP_FREE char *a = print_one(key, from), *b = print_one(key, to);
            if (!a || !b)
                return -ENOMEM;
            if (strcmp(a, b) != 0)
                r = note(section, key, a, b, keys);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Sockets */

static int slot_address(const struct config *config, const struct config_socket *socket,
                        unsigned slot, struct address *ret)
{
    const struct config_program *user = config_find_user(config, socket);
    return config_socket_address(socket, user, slot, ret);
}

/*
 * The last first, as that tells most apart; but two patterns may agree there and not in between: 1%(process_num)s1 and 11%(process_num)s for
 * 1 and 11, but not for 2.
 */
static bool same_slots(const struct config *from, const struct config_socket *a,
                       const struct config *to, const struct config_socket *b)
{
    const struct config_program *old = config_find_user(from, a), *new = config_find_user(to, b);
    for (unsigned slot = MIN(old->workers, new->workers); slot-- > 0;) {
        struct address one, other;
        if (slot_address(from, a, slot, &one) < 0 || slot_address(to, b, slot, &other) < 0 ||
            !address_equal(&one, &other))
            return false;
    }
    return true;
}

bool config_same_address(const struct config *from, const struct config_socket *a,
                         const struct config *to, const struct config_socket *b)
{
    if (a->fd >= 0 || b->fd >= 0)
        return a->fd == b->fd;
    if (a->per_slot != b->per_slot)
        return false;
    return a->per_slot ? same_slots(from, a, to, b) : address_equal(&a->address, &b->address);
}

static struct config_socket_change *find_old_socket(struct config_diff *diff,
                                                    const struct config_socket *from)
{
    for (size_t i = 0; i < diff->n_sockets; i++)
        if (diff->sockets[i].from == from)
            return &diff->sockets[i];
    return NULL;
}

/* An old socket that no new one has claimed yet, or NULL. */
static const struct config_socket *
find_unclaimed(struct config_diff *diff, const struct config *from, const struct config *to,
               const struct config_socket *socket, bool by_address)
{
    for (size_t i = 0; i < from->n_sockets; i++) {
        const struct config_socket *old = from->sockets[i];
        bool matches = by_address ? config_same_address(from, old, to, socket)
                                  : strcmp(old->name, socket->name) == 0;
        if (matches && !find_old_socket(diff, old))
            return old;
    }
    return NULL;
}

static void pair_sockets(struct config_diff *diff, const struct config *from,
                         const struct config *to, bool by_address)
{
    for (size_t i = 0; i < to->n_sockets; i++) {
        struct config_socket_change *change = &diff->sockets[i];
        if (change->from)
            continue;
        change->from = find_unclaimed(diff, from, to, to->sockets[i], by_address);
        change->rebind = !change->from || !by_address;
    }
}

static int compare_socket(const struct config *from, const struct config *to,
                          struct config_socket_change *change)
{
    if (!change->from) {
        change->fate = CONFIG_ADDED;
        return 0;
    }
    const struct side a = {from, change->from, change->from->file},
                      b = {to, change->to, change->to->file};
    int r = compare_keys(&socket_table, "", &a, &b, &change->keys);
    change->renamed = strcmp(change->from->name, change->to->name) != 0;
    if (change->rebind || change->renamed || change->keys)
        change->fate = CONFIG_CHANGED;
    return r;
}

static int diff_sockets(struct config_diff *diff, const struct config *from,
                        const struct config *to)
{
    diff->sockets = calloc(from->n_sockets + to->n_sockets + 1, sizeof(*diff->sockets));
    if (!diff->sockets)
        return -ENOMEM;
    for (size_t i = 0; i < to->n_sockets; i++)
        diff->sockets[i].to = to->sockets[i];
    diff->n_sockets = to->n_sockets;
    pair_sockets(diff, from, to, true);
    pair_sockets(diff, from, to, false);
    for (size_t i = 0; i < to->n_sockets; i++) {
        int r = compare_socket(from, to, &diff->sockets[i]);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < from->n_sockets; i++)
        if (!find_old_socket(diff, from->sockets[i]))
            diff->sockets[diff->n_sockets++] = (struct config_socket_change){
                .fate = CONFIG_REMOVED, .from = from->sockets[i]};
    return 0;
}

/* Programs */

static bool is_old_program(const struct config_diff *diff, const struct config_program *from)
{
    for (size_t i = 0; i < diff->n_programs; i++)
        if (diff->programs[i].from == from)
            return true;
    return false;
}

/* 1 where none of its keys differ, 0 where some do, or -ENOMEM. */
static int same_keys(const struct config *from, const struct config_program *a,
                     const struct config *to, const struct config_program *b)
{
    CLEANUP_STRV char **keys = NULL;
    const struct side old = {from, a, a->file}, new = {to, b, b->file};
    int r = compare_keys(&program_table, "", &old, &new, &keys);
    return r < 0 ? r : keys == NULL;
}

static int find_old_name(struct config_diff *diff, const struct config *from,
                         const struct config *to, struct config_program_change *change)
{
    for (size_t i = 0; i < from->n_programs && !change->from; i++) {
        const struct config_program *old = from->programs[i];
        if (config_find_program(to, old->name) || is_old_program(diff, old))
            continue;
        int r = same_keys(from, old, to, change->to);
        if (r < 0)
            return r;
        if (r > 0) {
            change->from = old;
            change->renamed = true;
        }
    }
    return 0;
}

static const struct config_socket_change *find_new_socket(const struct config_diff *diff,
                                                          const struct config_socket *to)
{
    for (size_t i = 0; i < diff->n_sockets; i++)
        if (diff->sockets[i].to == to)
            return &diff->sockets[i];
    return NULL;
}

/* Does a worker that has `from` have all that it is to find in place of it? */
static bool is_handed_the_same(const struct config_socket_change *change,
                               const struct config_socket *from)
{
    return change->from == from && !change->rebind && !change->renamed &&
           change->from->sharing == change->to->sharing;
}

static int note_socket(const struct config_socket_change *socket, const char *name_before,
                       char ***keys)
{
    const char *name = socket->to->name;
    if (socket->renamed && strcmp(name, name_before) == 0) {
        int r = strv_appendf(keys, "socket '%s': is what '%s' was", name, socket->from->name);
        if (r < 0)
            return r;
    }
    STRV_FOREACH (key, socket->keys) {
        int r = strv_appendf(keys, "socket '%s': %s", name, *key);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What its own keys do not tell: a socket keeps its name and is another one. */
static int compare_handed(const struct config_diff *diff, struct config_program_change *change)
{
    size_t common = MIN(change->from->n_sockets, change->to->n_sockets), kept = 0;
    for (size_t i = 0; i < common; i++) {
        const struct config_socket *to = change->to->sockets[i];
        const struct config_socket_change *socket = find_new_socket(diff, to);
        if (is_handed_the_same(socket, change->from->sockets[i])) {
            kept++;
            continue;
        }
        change->rolls = true;
        int r = note_socket(socket, change->from->sockets[i]->name, &change->keys);
        if (r < 0)
            return r;
    }
    change->only_more_sockets = kept == change->from->n_sockets &&
                                change->to->n_sockets > change->from->n_sockets;
    return 0;
}

static bool is_in_log_directory(const struct config_output *output)
{
    return output->to == CONFIG_OUTPUT_FILE && !output->path;
}

static int compare_log_directory(const struct config *from, const struct config *to,
                                 struct config_program_change *change)
{
    if (string_equal(from->log_directory, to->log_directory))
        return 0;
    for (size_t i = 0; i < CONFIG_STREAMS; i++)
        if (is_in_log_directory(&change->from->output[i]) &&
            is_in_log_directory(&change->to->output[i]))
            return strv_appendf(&change->keys, "log_directory: %s -> %s", from->log_directory,
                                to->log_directory);
    return 0;
}

static bool is_about_sockets(const char *key)
{
    return string_starts_with(key, "sockets") || string_starts_with(key, "listen");
}

static int compare_program(const struct config_diff *diff, const struct config *from,
                           const struct config *to, struct config_program_change *change)
{
    if (!change->from) {
        change->fate = CONFIG_ADDED;
        change->rolls = true;
        return 0;
    }
    const struct side a = {from, change->from, change->from->file},
                      b = {to, change->to, change->to->file};
    int r = compare_keys(&program_table, "", &a, &b, &change->keys);
    if (r == 0)
        r = compare_log_directory(from, to, change);
    change->rolls = change->keys || change->renamed;
    size_t about_others = change->renamed;
    STRV_FOREACH (key, change->keys)
        about_others += !is_about_sockets(*key);
    if (r == 0)
        r = compare_handed(diff, change);
    change->only_more_sockets = change->only_more_sockets && about_others == 0;
    change->fate = change->rolls ? CONFIG_CHANGED : CONFIG_KEPT;
    return r;
}

static int diff_programs(struct config_diff *diff, const struct config *from,
                         const struct config *to)
{
    diff->programs = calloc(from->n_programs + to->n_programs + 1, sizeof(*diff->programs));
    if (!diff->programs)
        return -ENOMEM;
    diff->n_programs = to->n_programs;
    for (size_t i = 0; i < to->n_programs; i++) {
        diff->programs[i].to = to->programs[i];
        diff->programs[i].from = config_find_program(from, to->programs[i]->name);
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < to->n_programs; i++)
        if (!diff->programs[i].from)
            r = find_old_name(diff, from, to, &diff->programs[i]);
    for (size_t i = 0; r == 0 && i < to->n_programs; i++)
        r = compare_program(diff, from, to, &diff->programs[i]);
    for (size_t i = 0; r == 0 && i < from->n_programs; i++)
        if (!is_old_program(diff, from->programs[i]))
            diff->programs[diff->n_programs++] = (struct config_program_change){
                .fate = CONFIG_REMOVED, .from = from->programs[i]};
    return r;
}

/* Who has a socket now, as the new configuration calls them. */
static bool has_moved(const struct config_diff *diff, const struct config *to,
                      const struct config_socket_change *socket)
{
    for (size_t i = 0; i < to->n_programs; i++) {
        const struct config_program_change *program = &diff->programs[i];
        bool had = false, has = false;
        for (size_t j = 0; program->from && j < program->from->n_sockets; j++)
            had = had || program->from->sockets[j] == socket->from;
        for (size_t j = 0; j < program->to->n_sockets; j++)
            has = has || program->to->sockets[j] == socket->to;
        if (has && !had)
            return true;
    }
    return false;
}

static void mark_moved(struct config_diff *diff, const struct config *to)
{
    for (size_t i = 0; i < to->n_sockets; i++) {
        struct config_socket_change *socket = &diff->sockets[i];
        socket->moved = socket->from && has_moved(diff, to, socket);
        if (socket->moved && socket->fate == CONFIG_KEPT)
            socket->fate = CONFIG_CHANGED;
    }
}

/* The whole */

int config_diff_new(const struct config *from, const struct config *to, struct config_diff **ret)
{
    CLEANUP(config_diff_freep) struct config_diff *diff = calloc(1, sizeof(*diff));
    if (!diff)
        return -ENOMEM;
    const struct side a = {from, from, NULL}, b = {to, to, NULL};
    int r = compare_keys(&root_table, "", &a, &b, &diff->settings);
    if (r == 0)
        r = diff_sockets(diff, from, to);
    if (r == 0)
        r = diff_programs(diff, from, to);
    if (r < 0)
        return r;
    mark_moved(diff, to);
    *ret = TAKE_PTR(diff);
    return 0;
}

struct config_diff *config_diff_free(struct config_diff *diff)
{
    if (!diff)
        return NULL;
    for (size_t i = 0; i < diff->n_sockets; i++)
        (void)strv_free(diff->sockets[i].keys);
    for (size_t i = 0; i < diff->n_programs; i++)
        (void)strv_free(diff->programs[i].keys);
    free(diff->sockets);
    free(diff->programs);
    (void)strv_free(diff->settings);
    free(diff);
    return NULL;
}

const struct config_program_change *config_diff_program(const struct config_diff *diff,
                                                        const char *name)
{
    for (size_t i = 0; i < diff->n_programs; i++) {
        const struct config_program_change *change = &diff->programs[i];
        if (strcmp((change->to ? change->to : change->from)->name, name) == 0)
            return change;
    }
    return NULL;
}

bool config_diff_is_empty(const struct config_diff *diff)
{
    for (size_t i = 0; i < diff->n_sockets; i++)
        if (diff->sockets[i].fate != CONFIG_KEPT)
            return false;
    for (size_t i = 0; i < diff->n_programs; i++)
        if (diff->programs[i].fate != CONFIG_KEPT)
            return false;
    return diff->settings == NULL;
}

bool config_diff_has_setting(const struct config_diff *diff, const char *name)
{
    size_t length = strlen(name);
    STRV_FOREACH (setting, diff->settings)
        if (strncmp(*setting, name, length) == 0 && strchr(".:", (*setting)[length]))
            return true;
    return false;
}
