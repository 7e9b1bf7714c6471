/* probes-judge.c - is all ready that should run? */
#include "base/strv.h"
#include "gateway/probes.h"

#include <string.h>

/* Of the state of a program as a whole; a word that is not known here is none to rely on. */
static bool is_as_wished(const char *state, json_int_t ready, json_int_t wanted)
{
    static const char *const wished[] = {"READY", "STOPPED", "EXITED", "STOPPING"};
    for (size_t i = 0; i < ARRAY_SIZE(wished); i++)
        if (strcmp(state, wished[i]) == 0)
            return true;
    bool reloads = strcmp(state, "RELOADING") == 0 || strcmp(state, "ROLLING_BACK") == 0;
    return reloads && (ready > 0 || wanted == 0);
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool program_is_as_wished(json_t *program)
{
    return is_as_wished(text_of(program, "state"),
                        json_integer_value(json_object_get(program, "ready")),
                        json_integer_value(json_object_get(program, "workers")));
}

static char *describe(json_t *program, size_t others)
{
    CLEANUP_FREE char *more = others > 0 ? string_format(", and %zu more", others) : NULL;
    return string_format("%s is %s: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
                         " workers are ready%s",
                         text_of(program, "name"), text_of(program, "state"),
                         json_integer_value(json_object_get(program, "ready")),
                         json_integer_value(json_object_get(program, "workers")), more ? more : "");
}

char *probes_judge(json_t *status, bool *ret_ready)
{
    json_t *program, *first = NULL;
    size_t i, n = 0;
    const char *master = text_of(json_object_get(status, "master"), "state");
    bool runs = strcmp(master, "running") == 0 || strcmp(master, "reloading") == 0;
    *ret_ready = false;
    if (!runs && strcmp(master, "starting") != 0)
        return string_format("the master is %s", master);
    json_array_foreach(json_object_get(status, "programs"), i,
                       program) if (!program_is_as_wished(program))
    {
        first = first ? first : program;
        n++;
    }
    if (first)
        return describe(first, n - 1);
    if (!runs)
        return strdup("the master is starting");
    *ret_ready = true;
    return NULL;
}
