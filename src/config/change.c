/* What a running master cannot change yet: its sockets, its set of programs, its own places. */
#include "config/config.h"

#include "base/strv.h"

#include <string.h>

#define REMEDY "this version changes it only by a restart of the master"

static char *name_missing(const char *kind, const char *name, const char *what)
{
    return string_format("%s '%s' was %s: " REMEDY, kind, name, what);
}

static bool has_socket(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_sockets; i++)
        if (strcmp(config->sockets[i]->name, name) == 0)
            return true;
    return false;
}

static bool has_program(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_programs; i++)
        if (strcmp(config->programs[i]->name, name) == 0)
            return true;
    return false;
}

static char *compare_socket_names(const struct config *from, const struct config *to)
{
    for (size_t i = 0; i < from->n_sockets; i++)
        if (!has_socket(to, from->sockets[i]->name))
            return name_missing("socket", from->sockets[i]->name, "removed");
    for (size_t i = 0; i < to->n_sockets; i++)
        if (!has_socket(from, to->sockets[i]->name))
            return name_missing("socket", to->sockets[i]->name, "added");
    for (size_t i = 0; i < to->n_sockets; i++)
        if (strcmp(from->sockets[i]->name, to->sockets[i]->name) != 0)
            return name_missing("socket", to->sockets[i]->name,
                                "moved to another place in the file");
    return NULL;
}

static char *compare_program_names(const struct config *from, const struct config *to)
{
    for (size_t i = 0; i < from->n_programs; i++)
        if (!has_program(to, from->programs[i]->name))
            return name_missing("program", from->programs[i]->name, "removed");
    for (size_t i = 0; i < to->n_programs; i++)
        if (!has_program(from, to->programs[i]->name))
            return name_missing("program", to->programs[i]->name, "added");
    for (size_t i = 0; i < to->n_programs; i++)
        if (strcmp(from->programs[i]->name, to->programs[i]->name) != 0)
            return name_missing("program", to->programs[i]->name,
                                "moved to another place in the file");
    return NULL;
}

static char *changed(const char *section, const char *name, const char *key)
{
    return string_format("%s.%s.%s changed: " REMEDY, section, name, key);
}

static bool same_id(struct config_id a, struct config_id b)
{
    return a.set == b.set && (!a.set || a.id == b.id);
}

static bool same_options(const struct config_socket_options *a,
                         const struct config_socket_options *b)
{
    return a->nodelay == b->nodelay && a->keepalive == b->keepalive &&
           a->defer_accept_usec == b->defer_accept_usec && a->fastopen == b->fastopen &&
           a->freebind == b->freebind && a->transparent == b->transparent &&
           strcmp(a->device, b->device) == 0 && a->mark == b->mark &&
           a->receive_buffer == b->receive_buffer && a->send_buffer == b->send_buffer;
}

static char *compare_socket(const struct config *from, const struct config *to, size_t i)
{
    const struct config_socket *a = from->sockets[i], *b = to->sockets[i];
    const char *key = NULL;
    if (a->per_slot != b->per_slot || a->fd != b->fd || a->is_private != b->is_private ||
        (!a->per_slot && !address_equal(&a->address, &b->address)) ||
        (a->per_slot && strcmp(a->listen, b->listen) != 0))
        key = "listen";
    else if (a->sharing != b->sharing)
        key = "sharing";
    else if (a->backlog != b->backlog)
        key = "backlog";
    else if (a->ipv6_only != b->ipv6_only)
        key = "ipv6_only";
    else if (config_socket_nonblocking(from, a) != config_socket_nonblocking(to, b))
        key = "nonblocking";
    else if (a->mode_set != b->mode_set || (a->mode_set && a->mode != b->mode))
        key = "mode";
    else if (!same_id(a->owner, b->owner))
        key = "owner";
    else if (!same_id(a->group, b->group))
        key = "group";
    else if (!same_options(&a->options, &b->options))
        key = "options";
    return key ? changed("sockets", a->name, key) : NULL;
}

/* Slots that stay keep their addresses; more or fewer workers only add or drop sockets at the end. */
static char *compare_slot_addresses(const struct config_program *a, const struct config_program *b)
{
    unsigned slots = MIN(a->workers, b->workers);
    for (size_t i = 0; i < a->n_sockets; i++)
        for (unsigned slot = 0; a->sockets[i]->per_slot && slot < slots; slot++) {
            struct address x, y;
            if (config_socket_address(a->sockets[i], a, slot, &x) < 0 ||
                config_socket_address(b->sockets[i], b, slot, &y) < 0 || !address_equal(&x, &y))
                return changed("sockets", a->sockets[i]->name, "listen");
        }
    return NULL;
}

static char *compare_program(const struct config_program *a, const struct config_program *b)
{
    bool same = a->n_sockets == b->n_sockets;
    for (size_t i = 0; same && i < a->n_sockets; i++)
        same = strcmp(a->sockets[i]->name, b->sockets[i]->name) == 0;
    if (!same)
        return changed("programs", a->name, "sockets");
    if (a->autostart != b->autostart)
        return changed("programs", a->name, "autostart");
    return compare_slot_addresses(a, b);
}

static char *compare_master(const struct config *from, const struct config *to)
{
    const struct {
        const char *key;
        bool same;
    } keys[] = {
        {"pid_file", string_equal(from->pid_file, to->pid_file)},
        {"process_title", string_equal(from->process_title, to->process_title)},
        {"runtime_directory", string_equal(from->runtime_directory, to->runtime_directory)},
        {"control.socket", string_equal(from->control.socket, to->control.socket)},
        {"control.mode", from->control.mode == to->control.mode},
        {"control.owner", same_id(from->control.owner, to->control.owner)},
        {"control.group", same_id(from->control.group, to->control.group)},
    };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!keys[i].same)
            return string_format("%s changed: " REMEDY, keys[i].key);
    return NULL;
}

char *config_refuse_change(const struct config *from, const struct config *to)
{
    char *refusal = compare_master(from, to);
    if (!refusal)
        refusal = compare_program_names(from, to);
    if (!refusal)
        refusal = compare_socket_names(from, to);
    for (size_t i = 0; !refusal && i < from->n_sockets; i++)
        refusal = compare_socket(from, to, i);
    for (size_t i = 0; !refusal && i < from->n_programs; i++)
        refusal = compare_program(from->programs[i], to->programs[i]);
    return refusal;
}
