/* plain-judge.c - what a client of a plain path is told of a reply. */
#include "base/strv.h"
#include "gateway/plain.h"

#include <stdio.h>
#include <string.h>

#define INTERFACE "io.reloader.Control."

struct verdict {
    const char *word, *text;
    unsigned status;
};

static const struct verdict *find(const struct verdict *verdicts, size_t n, const char *word)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(verdicts[i].word, word) == 0)
            return &verdicts[i];
    return NULL;
}

unsigned plain_judge_reload(json_t *parameters, char **ret_text)
{
    static const struct verdict verdicts[] = {
        {"refused", "the configuration is refused", 409},
        {"superseded", "a newer reload took its place", 409},
        {"rolled_back", "rolled back", 500},
        {"degraded", "degraded: not all could be rolled back", 500},
    };
    const char *result = json_string_value(json_object_get(parameters, "result"));
    const char *reason = json_string_value(json_object_get(parameters, "reason"));
    if (result && strcmp(result, "committed") == 0) {
        *ret_text = strdup(result);
        return 200;
    }
    const struct verdict *verdict = find(verdicts, ARRAY_SIZE(verdicts), result);
    const char *text = verdict ? verdict->text : "the reload did not end as it should";
    *ret_text = reason ? string_format("%s: %s", text, reason) : strdup(text);
    return verdict ? verdict->status : 500;
}

unsigned plain_judge_error(const struct link_reply *reply, char **ret_text)
{
    static const struct verdict verdicts[] = {
        {LINK_ERROR_GONE, "the master is gone", 503},
        {LINK_ERROR_BUSY, "too much is asked of the master at once; try again", 503},
        {LINK_ERROR_TIMEOUT, "the master does not answer; is it stopped or busy?", 504},
        {INTERFACE "TooManyClients", "too much is asked of the master at once; try again", 503},
        {INTERFACE "ShuttingDown", "the master is shutting down", 503},
    };
    const struct verdict *verdict = find(verdicts, ARRAY_SIZE(verdicts), reply->error);
    const char *reason = json_string_value(json_object_get(reply->parameters, "reason"));
    if (verdict)
        *ret_text = strdup(verdict->text);
    else
        *ret_text = reason ? strdup(reason) : string_format("the master says %s", reply->error);
    return verdict ? verdict->status : 500;
}
