#include "gateway/problem.h"

#include "base/macros.h"
#include "base/strv.h"

#include <string.h>

const struct problem_kind problem_kinds[] = {
    {"InvalidParameter", 400, "Invalid parameter", "the parameter ",
     " is missing, unknown, or not of its type", "parameter"},
    {"PermissionDenied", 403, "Permission denied",
     "that is not for HTTP: reloaderctl does it, on the machine itself", NULL, NULL},
    {"NoSuchProgram", 404, "No such program", "there is no program ", "", "name"},
    {"NoSuchWorker", 404, "No such worker", "there is no worker and no slot ", "", "name"},
    {"NotOneWorker", 409, "Not one worker", "several workers are meant by ", "", "name"},
    {"NotRunning", 409, "Not running", "no worker runs now in that slot of ", "", "program"},
    {"Failed", 409, "Failed", "", "", "reason"},
    {"TooManyClients", 429, "Too many clients",
     "the reloader serves as many clients as it can already; try again", NULL, NULL},
    {"NotInThisVersion", 501, "Not in this version",
     "that is designed, but this version does not have it", NULL, NULL},
    {"ShuttingDown", 503, "Shutting down", "the reloader is shutting down", NULL, NULL},
};
const size_t problem_n_kinds = ARRAY_SIZE(problem_kinds);

const struct problem_kind *problem_find(const char *error)
{
    const char *dot = strrchr(error, '.'), *name = dot ? dot + 1 : error;
    for (size_t i = 0; i < ARRAY_SIZE(problem_kinds); i++)
        if (strcmp(problem_kinds[i].name, name) == 0)
            return &problem_kinds[i];
    return NULL;
}

static char *make_detail(const struct problem_kind *kind, json_t *members)
{
    const char *value = kind->member ? json_string_value(json_object_get(members, kind->member))
                                     : NULL;
    if (!kind->member)
        return strdup(kind->before);
    return string_format("%s%s%s", kind->before, value ? value : "(unnamed)", kind->after);
}

json_t *problem_new(const struct problem_kind *kind, json_t *members)
{
    CLEANUP_FREE char *detail = make_detail(kind, members);
    if (!detail)
        return NULL;
    json_t *problem = json_pack("{s:s+, s:s, s:i, s:s}", "type", PROBLEM_TYPE_PREFIX, kind->name,
                                "title", kind->title, "status", (int)kind->status, "detail",
                                detail);
    /* Its own words come first: a member of the error does not take their place. */
    if (problem && members && json_object_update_missing(problem, members) < 0) {
        json_decref(problem);
        return NULL;
    }
    return problem;
}
