/* jansson bounds the depth of what it parses; the size of a frame is bounded by who receives it. */
#include "control/varlink.h"

#include <errno.h>
#include <string.h>

static int read_flag(json_t *message, const char *name, bool *ret)
{
    json_t *value = json_object_get(message, name);
    if (value && !json_is_boolean(value) && !json_is_null(value))
        return -EBADMSG;
    *ret = json_is_true(value);
    return 0;
}

static int read_parameters(json_t *message, json_t **ret)
{
    json_t *parameters = json_object_get(message, "parameters");
    if (!parameters || json_is_null(parameters)) {
        parameters = json_object();
        if (!parameters || json_object_set_new(message, "parameters", parameters) < 0)
            return -ENOMEM;
    }
    if (!json_is_object(parameters))
        return -EBADMSG;
    *ret = parameters;
    return 0;
}

int varlink_call_parse(const char *frame, size_t size, struct varlink_call *ret)
{
    json_auto_t *message = json_loadb(frame, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(message))
        return -EBADMSG;

    struct varlink_call call = {.method = json_string_value(json_object_get(message, "method"))};
    if (!call.method || call.method[0] == '\0')
        return -EBADMSG;
    int r = read_parameters(message, &call.parameters);
    if (r < 0)
        return r;
    if (read_flag(message, "oneway", &call.oneway) < 0 ||
        read_flag(message, "more", &call.more) < 0 ||
        read_flag(message, "upgrade", &call.upgrade) < 0)
        return -EBADMSG;
    call.message = TAKE_PTR(message);
    *ret = call;
    return 0;
}

void varlink_call_clear(struct varlink_call *call)
{
    json_decref(call->message);
    *call = (struct varlink_call){0};
}

const char *varlink_method_name(const char *method, size_t *ret_interface_length)
{
    const char *dot = strrchr(method, '.');
    *ret_interface_length = dot ? (size_t)(dot - method) : 0;
    return dot ? dot + 1 : method;
}

static int encode(json_t *message, json_t *parameters, char **ret, size_t *ret_size)
{
    if (!message)
        return -ENOMEM;
    int r = parameters ? json_object_set(message, "parameters", parameters)
                       : json_object_set_new(message, "parameters", json_object());
    if (r < 0)
        return -ENOMEM;
    char *text = json_dumps(message, JSON_COMPACT);
    if (!text)
        return -ENOMEM;
    *ret = text;
    *ret_size = strlen(text) + 1;
    return 0;
}

int varlink_encode_reply(json_t *parameters, bool continues, char **ret, size_t *ret_size)
{
    json_auto_t *message = json_object();
    if (message && continues && json_object_set_new(message, "continues", json_true()) < 0)
        return -ENOMEM;
    return encode(message, parameters, ret, ret_size);
}

int varlink_encode_error(const char *error, json_t *parameters, char **ret, size_t *ret_size)
{
    json_auto_t *message = json_pack("{s:s}", "error", error);
    return encode(message, parameters, ret, ret_size);
}
