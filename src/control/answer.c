#include "control/answer.h"

#include "base/strv.h"

#include <errno.h>
#include <string.h>

void answer(struct client *client, json_t *parameters)
{
    if (parameters)
        client_reply(client, parameters, false);
    else
        answer_failure(client, -ENOMEM, NULL);
    json_decref(parameters);
}

static void answer_with(struct client *client, const char *error, const char *member,
                        const char *value)
{
    json_auto_t *parameters = json_pack("{s:s}", member, value);
    client_error(client, error, parameters);
}

void answer_reason(struct client *client, const char *reason)
{
    answer_with(client, CONTROL_ERROR_FAILED, "reason", reason);
}

void answer_invalid(struct client *client, const char *parameter)
{
    answer_with(client, VARLINK_ERROR_INVALID_PARAMETER, "parameter", parameter);
}

void answer_failure(struct client *client, int r, const char *name)
{
    switch (-r) {
    case ENOENT:
        answer_with(client, CONTROL_ERROR_NO_PROGRAM, "name", name ? name : "");
        break;
    case ESRCH:
        answer_with(client, CONTROL_ERROR_NO_WORKER, "name", name ? name : "");
        break;
    case ESHUTDOWN:
        client_error(client, CONTROL_ERROR_SHUTTING_DOWN, NULL);
        break;
    default:
        answer_reason(client, strerror(-r));
    }
}

int answer_read_names(json_t *list, char ***ret)
{
    json_t *item;
    size_t i;
    int r = 0;
    json_array_foreach(list, i, item) r = r < 0 ? r : strv_append(ret, json_string_value(item));
    return r;
}

bool answer_accepted(struct client *client, const struct varlink_call *call, uint64_t id)
{
    json_auto_t *accepted = json_pack("{s:I}", "id", (json_int_t)id);
    bool wait = !json_is_false(json_object_get(call->parameters, "wait"));
    if (!wait || call->more)
        client_reply(client, accepted, wait);
    return wait;
}
