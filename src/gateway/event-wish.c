#include "gateway/event-wish.h"

#include "base/parse.h"
#include "base/strv.h"

#include <errno.h>
#include <string.h>

static int add_type(struct event_wish *wish, const char *name, const char **ret_why)
{
    unsigned type = event_filter_type(name);
    if (type == 0) {
        *ret_why = "type is one of master, reload, rollout, worker, message, log, socket, job";
        return -EINVAL;
    }
    wish->filter.types |= type;
    return 0;
}

static int add_types(struct event_wish *wish, const char *list, const char **ret_why)
{
    CLEANUP_FREE char *words = strdup(list);
    if (!words)
        return -ENOMEM;
    char *rest = words, *word;
    int r = 0;
    while (r == 0 && (word = strsep(&rest, ",")))
        r = add_type(wish, word, ret_why);
    return r;
}

static int add_word(char ***words, const char *value, const char **ret_why)
{
    if (*value == '\0') {
        *ret_why = "program and cmd need a value";
        return -EINVAL;
    }
    if (strv_length(*words) == EVENT_WISH_WORDS_MAX) {
        *ret_why = "program and cmd are taken 64 times each, no more";
        return -EINVAL;
    }
    return strv_append(words, value);
}

static int set_since(struct event_wish *wish, const char *value, uint64_t now_usec,
                     const char **ret_why)
{
    uint64_t ago;
    if (event_id_parse(value, &wish->id) == 0) {
        wish->from = EVENT_FROM_ID;
        return 0;
    }
    if (parse_duration(value, &ago) < 0) {
        *ret_why = "since takes an event's id or number, or a time like 5m (ago)";
        return -EINVAL;
    }
    wish->from = EVENT_FROM_TIME;
    wish->time_usec = now_usec > ago ? now_usec - ago : 0;
    return 0;
}

static int set_since_usec(struct event_wish *wish, const char *value, const char **ret_why)
{
    if (parse_unsigned(value, 0, INT64_MAX, &wish->time_usec) < 0) {
        *ret_why = "since_usec takes microseconds since 1970-01-01 00:00 UTC";
        return -EINVAL;
    }
    wish->from = EVENT_FROM_TIME;
    return 0;
}

int event_wish_add(struct event_wish *wish, const char *name, const char *value, uint64_t now_usec,
                   const char **ret_why)
{
    if (strcmp(name, "type") == 0)
        return add_types(wish, value, ret_why);
    if (strcmp(name, "program") == 0)
        return add_word(&wish->filter.programs, value, ret_why);
    if (strcmp(name, "cmd") == 0)
        return add_word(&wish->filter.commands, value, ret_why);
    if (strcmp(name, "since") == 0 || strcmp(name, "last_event_id") == 0)
        return set_since(wish, value, now_usec, ret_why);
    if (strcmp(name, "since_usec") == 0)
        return set_since_usec(wish, value, ret_why);
    *ret_why = "the parameters are type, program, cmd, since, since_usec and last_event_id";
    return -EINVAL;
}

void event_wish_complete(struct event_wish *wish, const char *last_event_id)
{
    if (wish->filter.types == 0)
        wish->filter.types = wish->filter.commands ? event_filter_type("message")
                                                   : EVENT_FILTER_ALL;
    if (!last_event_id || *last_event_id == '\0')
        return;
    wish->from = EVENT_FROM_ID;
    if (event_id_parse(last_event_id, &wish->id) < 0)
        wish->id = (struct event_id){.start = EVENT_START_OF_NONE};
}

void event_wish_clear(struct event_wish *wish)
{
    event_filter_clear(&wish->filter);
}
