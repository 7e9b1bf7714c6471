#include "reloaderctl/narrow.h"

#include "base/strv.h"
#include "reloaderctl/client.h"
#include "reloaderctl/field.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <string.h>

static bool equals(const char *name, char *wanted)
{
    if (!wanted)
        die_of_memory();
    bool same = strcmp(name, wanted) == 0;
    free(wanted);
    return same;
}

bool name_means_program(const char *name, json_t *program)
{
    const char *own = json_string_value(json_object_get(program, "name"));
    json_t *group;
    size_t i;
    if (!own)
        return false;
    if (strcmp(name, "all") == 0 || strcmp(name, own) == 0 ||
        equals(name, string_format("%s:*", own)))
        return true;
    json_array_foreach(json_object_get(program, "groups"), i, group)
    {
        const char *text = json_string_value(group);
        if (text && equals(name, string_format("%s:*", text)))
            return true;
    }
    return false;
}

bool name_means_slot(const char *name, json_t *program, json_t *slot)
{
    const char *own = json_string_value(json_object_get(program, "name")),
               *worker = json_string_value(json_object_get(slot, "name"));
    if (name_means_program(name, program) || string_equal(name, worker))
        return true;
    return own && (equals(name, string_format("%s:%" PRIu64, own, get_number(slot, "slot"))) ||
                   (worker && equals(name, string_format("%s:%s", own, worker))));
}

static bool any_means_slot(char *const *names, json_t *program, json_t *slot)
{
    STRV_FOREACH (name, names)
        if (name_means_slot(*name, program, slot))
            return true;
    return false;
}

static bool any_means_program(char *const *names, json_t *program)
{
    STRV_FOREACH (name, names)
        if (name_means_program(*name, program))
            return true;
    return false;
}

static bool is_known(const char *name, json_t *status)
{
    json_t *program, *slot;
    size_t i, k;
    json_array_foreach(json_object_get(status, "programs"), i, program)
    {
        if (name_means_program(name, program))
            return true;
        json_array_foreach(json_object_get(program, "slots"), k,
                           slot) if (name_means_slot(name, program, slot)) return true;
    }
    return strcmp(name, "all") == 0;
}

static void narrow_slots(json_t *program, char *const *names)
{
    json_t *slots = json_object_get(program, "slots");
    for (size_t k = json_array_size(slots); k-- > 0;)
        if (!any_means_slot(names, program, json_array_get(slots, k)))
            (void)json_array_remove(slots, k);
}

const char *status_narrow(json_t *status, char *const *names)
{
    json_t *programs = json_object_get(status, "programs");
    if (!names || !names[0])
        return NULL;
    STRV_FOREACH (name, names)
        if (!is_known(*name, status))
            return *name;
    for (size_t i = json_array_size(programs); i-- > 0;) {
        json_t *program = json_array_get(programs, i);
        narrow_slots(program, names);
        if (json_array_size(json_object_get(program, "slots")) == 0 &&
            !any_means_program(names, program))
            (void)json_array_remove(programs, i);
    }
    (void)json_object_del(status, "listeners");
    (void)json_object_del(status, "strays");
    return NULL;
}
