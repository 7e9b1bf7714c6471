/* What a reload is about to do, before it does it. */
#include "base/strv.h"
#include "config/diff.h"
#include "master/reload.h"

#include <string.h>

static json_t *strings_to_json(char *const *strings)
{
    json_t *list = json_array();
    STRV_FOREACH (string, strings)
        (void)json_array_append_new(list, json_string(*string));
    return list;
}

static void append_socket(json_t *list, const char *action, const struct config_socket *socket,
                          const char *was, char *const *changes)
{
    (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s*, s:o}", "name", socket->name,
                                                "action", action, "address", socket->listen, "was",
                                                was, "changes", strings_to_json(changes)));
}

static void describe_socket(json_t *list, const struct config_socket_change *change)
{
    const char *was = change->renamed ? change->from->name : NULL;
    switch (change->fate) {
    case CONFIG_KEPT:
        append_socket(list, "keep", change->to, NULL, NULL);
        break;
    case CONFIG_CHANGED:
        append_socket(list, change->rebind ? "bind" : "change", change->to, was, change->keys);
        if (change->rebind)
            append_socket(list, "close", change->from, NULL, NULL);
        break;
    case CONFIG_ADDED:
        append_socket(list, "bind", change->to, NULL, NULL);
        break;
    case CONFIG_REMOVED:
        append_socket(list, "close", change->from, NULL, NULL);
        break;
    }
}

static const char *action_of(const struct reload_part *part)
{
    if (part->is_adopted)
        return "hand";
    if (!part->added)
        return "roll";
    return part->generation->program->autostart ? "start" : "add";
}

static const char *find_action(const struct reload_candidate *candidate,
                               const struct config_program_change *change)
{
    if (change->fate == CONFIG_REMOVED)
        return "stop";
    const char *name = (change->from ? change->from : change->to)->name;
    for (size_t i = 0; i < candidate->n_parts; i++) {
        const struct reload_part *part = &candidate->parts[i];
        if (part->is_named && strcmp(part->program, name) == 0)
            return action_of(part);
    }
    return "keep";
}

static json_t *describe_program(const struct reload_candidate *candidate,
                                const struct config_program_change *change)
{
    const struct config_program *program = change->to ? change->to : change->from;
    return json_pack("{s:s, s:s, s:s*, s:I, s:o}", "name", program->name, "action",
                     find_action(candidate, change), "was",
                     change->renamed ? change->from->name : NULL, "workers",
                     (json_int_t)program->workers, "changes", strings_to_json(change->keys));
}

json_t *reload_plan_to_json(const struct reload_candidate *candidate)
{
    json_t *sockets = json_array(), *programs = json_array();
    const struct config_diff *diff = candidate->diff;
    for (size_t i = 0; i < diff->n_sockets; i++)
        describe_socket(sockets, &diff->sockets[i]);
    for (size_t i = 0; i < diff->n_programs; i++)
        (void)json_array_append_new(programs, describe_program(candidate, &diff->programs[i]));
    return json_pack("{s:o, s:o, s:o}", "sockets", sockets, "programs", programs, "settings",
                     strings_to_json(diff->settings));
}
