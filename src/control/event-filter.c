#include "control/event-filter.h"

#include "base/parse.h"
#include "base/strv.h"

#include <limits.h>
#include <string.h>

static const char *const types[] = {"master",  "reload", "rollout", "worker",
                                    "message", "log",    "socket",  "job"};

unsigned event_filter_type(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(types[i], name) == 0)
            return 1u << i;
    return 0;
}

/* A job tells of its targets one by one. */
static json_t *subject_of(json_t *event)
{
    json_t *target = json_object_get(event, "target");
    return json_is_object(target) ? target : event;
}

struct event_facts event_facts_of(unsigned type, json_t *event)
{
    json_t *subject = subject_of(event), *slot = json_object_get(subject, "slot");
    json_t *value = type == event_filter_type("message") ? json_object_get(event, "value") : NULL;
    json_int_t number = json_is_integer(slot) ? json_integer_value(slot) : -1;
    return (struct event_facts){
        .type = type,
        .program = json_string_value(json_object_get(subject, "program")),
        .worker = json_string_value(json_object_get(subject, "name")),
        .slot = number >= 0 && number <= INT_MAX ? (int)number : -1,
        .command = json_string_value(json_object_get(value, "cmd")),
    };
}

/* "*", a slot's number, or its worker's name, behind a program and a colon. */
static bool names_part(const char *word, const struct event_facts *facts)
{
    uint64_t slot;
    if (strcmp(word, "*") == 0 || string_equal(word, facts->worker))
        return true;
    return facts->slot >= 0 && parse_unsigned(word, 0, INT_MAX, &slot) == 0 &&
           slot == (uint64_t)facts->slot;
}

/* A listener has a name, too, but is no worker: only what belongs to a program counts. */
static bool names(const char *word, const struct event_facts *facts)
{
    size_t length = strlen(facts->program);
    if (strcmp(word, facts->program) == 0 || string_equal(word, facts->worker))
        return true;
    return strncmp(word, facts->program, length) == 0 && word[length] == ':' &&
           names_part(word + length + 1, facts);
}

static bool is_of_programs(char *const *programs, const struct event_facts *facts)
{
    if (!programs)
        return true;
    STRV_FOREACH (word, programs)
        if (facts->program && names(*word, facts))
            return true;
    return false;
}

bool event_filter_passes(const struct event_filter *filter, const struct event_facts *facts)
{
    if (!(filter->types & facts->type) && filter->types != EVENT_FILTER_ALL)
        return false;
    if (filter->commands && facts->type == event_filter_type("message") &&
        !(facts->command && strv_contains(filter->commands, facts->command)))
        return false;
    return is_of_programs(filter->programs, facts);
}

void event_filter_clear(struct event_filter *filter)
{
    filter->programs = strv_free(filter->programs);
    filter->commands = strv_free(filter->commands);
}
