/* Subscribe: events that were, as far as they are kept, and events as they come. */
#include "base/strv.h"
#include "control/answer.h"
#include "control/handlers.h"

#include <errno.h>

/* 0, or -EINVAL: there is no such type. Who names commands and no type means messages. */
static int read_types(json_t *parameters, unsigned *ret)
{
    json_t *types = json_object_get(parameters, "types"), *type;
    unsigned set = 0;
    size_t i;
    json_array_foreach(types, i, type)
    {
        unsigned bit = event_filter_type(json_string_value(type));
        if (bit == 0)
            return -EINVAL;
        set |= bit;
    }
    if (json_is_array(types))
        *ret = set;
    else if (json_is_array(json_object_get(parameters, "commands")))
        *ret = event_filter_type("message");
    else
        *ret = EVENT_FILTER_ALL;
    return 0;
}

/* False: it is there, and negative. */
static bool read_number(json_t *parameters, const char *name, bool *ret_there, uint64_t *ret)
{
    json_t *value = json_object_get(parameters, name);
    json_int_t number = json_integer_value(value);
    *ret_there = json_is_integer(value);
    if (*ret_there && number >= 0)
        *ret = (uint64_t)number;
    return number >= 0;
}

/* 0, or -EINVAL with the parameter that is wrong, or -ENOMEM. */
static int read_wish(json_t *parameters, struct subscription_wish *wish, const char **ret_name)
{
    bool has_start;
    *ret_name = "types";
    int r = read_types(parameters, &wish->filter.types);
    if (r < 0)
        return r;
    *ret_name = "since";
    if (!read_number(parameters, "since", &wish->after, &wish->sequence))
        return -EINVAL;
    *ret_name = "since_usec";
    if (!read_number(parameters, "since_usec", &wish->from, &wish->time_usec) ||
        (wish->from && wish->after))
        return -EINVAL;
    *ret_name = "start";
    if (!read_number(parameters, "start", &has_start, &wish->start) || (has_start && !wish->after))
        return -EINVAL;
    r = answer_read_names(json_object_get(parameters, "programs"), &wish->filter.programs);
    return r < 0
               ? r
               : answer_read_names(json_object_get(parameters, "commands"), &wish->filter.commands);
}

void methods_handle_subscribe(UNUSED const struct command *command, const struct varlink_call *call,
                              struct client *client)
{
    struct subscription_wish wish = {0};
    const char *name;
    int r = read_wish(call->parameters, &wish, &name);
    if (r == 0)
        client_subscribe(client, &wish);
    else if (r == -EINVAL)
        answer_invalid(client, name);
    else
        answer_failure(client, r, NULL);
    event_filter_clear(&wish.filter);
}
