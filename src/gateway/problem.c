#include "gateway/problem.h"

#include "base/macros.h"
#include "base/strv.h"

#include <string.h>

const struct problem_kind problem_kinds[] = {
    {.name = "InvalidParameter",
     .status = 400,
     .title = "Invalid parameter",
     .before = "the parameter ",
     .after = " is missing, unknown, or not of its type",
     .member = "parameter"},
    {.name = "PermissionDenied",
     .status = 403,
     .title = "Permission denied",
     .before = "that is not for HTTP: reloaderctl does it, on the machine itself"},
    {.name = "NoSuchProgram",
     .status = 404,
     .title = "No such program",
     .before = "there is no program ",
     .member = "name"},
    {.name = "NoSuchWorker",
     .status = 404,
     .title = "No such worker",
     .before = "there is no worker and no slot ",
     .member = "name"},
    {.name = "TooSlow",
     .ours = true,
     .status = 408,
     .title = "Too slow",
     .before = "there is more to be told than is kept for a client that does not read"},
    {.name = "NotOneWorker",
     .status = 409,
     .title = "Not one worker",
     .before = "several workers are meant by ",
     .member = "name"},
    {.name = "NotRunning",
     .status = 409,
     .title = "Not running",
     .before = "no worker runs now in that slot of ",
     .member = "program"},
    {.name = "Failed", .status = 409, .title = "Failed", .before = "", .member = "reason"},
    {.name = "TooLarge",
     .ours = true,
     .status = 413,
     .title = "Too large",
     .before = "the parameters are more than the reloader takes, or nested too deep"},
    {.name = "TooManyClients",
     .status = 429,
     .title = "Too many clients",
     .before = "the reloader serves as many clients as it can already; try again"},
    {.name = "TooManyCalls",
     .ours = true,
     .status = 429,
     .title = "Too many calls",
     .before = "as many requests as may wait for the reloader wait already; try again"},
    {.name = "NotInThisVersion",
     .status = 501,
     .title = "Not in this version",
     .before = "that is designed, but this version does not have it"},
    {.name = "NotUnderstood",
     .ours = true,
     .status = 502,
     .title = "Not understood",
     .before = "the reloader gave an answer that is not understood: ",
     .member = "error"},
    {.name = "ShuttingDown",
     .status = 503,
     .title = "Shutting down",
     .before = "the reloader is shutting down"},
    {.name = "NoMaster",
     .ours = true,
     .status = 503,
     .title = "No master",
     .before = "the reloader has gone, or closed the connection; whether it did what was asked for "
               "is not known"},
    {.name = "NoAnswer",
     .ours = true,
     .status = 504,
     .title = "No answer",
     .before = "the reloader does not answer: it is stopped, or very busy"},
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
    return string_format("%s%s%s", kind->before, value ? value : "(unnamed)",
                         kind->after ? kind->after : "");
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
