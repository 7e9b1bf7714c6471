/* Events as they come, one line each, until the master leaves; those that were before, as far as the master keeps them. */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/strv.h"
#include "reloaderctl/event-text.h"
#include "reloaderctl/screen.h"
#include "reloaderctl/since.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define KEPT "the master keeps the newest 4096, of 1 MiB together"

struct following {
    bool json;
    uint64_t start; /* of the master, whose numbers these are; 0: it does not tell */
    uint64_t last;  /* the number of the last event that was told, or might have been; 0: none */
};

static void print_event(json_t *event)
{
    uint64_t usec = get_number(event, "time_usec");
    time_t seconds = (time_t)(usec / USEC_PER_SEC);
    struct tm tm;
    char when[32] = "";
    if (localtime_r(&seconds, &tm))
        (void)strftime(when, sizeof(when), "%H:%M:%S", &tm);
    CLEANUP_FREE char *text = event_text(event);
    (void)printf("%s.%03u %s\n", when, (unsigned)(usec % USEC_PER_SEC / USEC_PER_MSEC), text);
    (void)fflush(stdout);
}

/* What is asked for */

static int add_words(json_t *parameters, const char *name, char *const *words)
{
    json_auto_t *array = json_array();
    STRV_FOREACH (word, words)
        if (json_array_append_new(array, json_string(*word)) < 0) {
            complain("'%s' is no valid text (UTF-8)", *word);
            return EXIT_CODE_USAGE;
        }
    if (words && json_object_set(parameters, name, array) < 0)
        die_of_memory();
    return EXIT_CODE_OK;
}

/* "worker,reload". */
static void split(const char *list, char ***words)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        if (length > 0 && strv_appendf(words, "%.*s", (int)length, list) < 0)
            die_of_memory();
        list += length + (list[length] == ',');
    }
}

/* Those of --type, and those that stand behind the command. */
static int add_types(json_t *parameters, const struct invocation *invocation)
{
    CLEANUP_STRV char **types = NULL;
    STRV_FOREACH (list, invocation->types)
        split(*list, &types);
    STRV_FOREACH (list, invocation->arguments)
        split(*list, &types);
    return add_words(parameters, "types", types);
}

static void add_number(json_t *parameters, const char *name, uint64_t number)
{
    if (json_object_set_new(parameters, name, json_integer((json_int_t)number)) < 0)
        die_of_memory();
}

static int add_since(json_t *parameters, const char *text)
{
    struct since since;
    if (!text)
        return EXIT_CODE_OK;
    if (since_parse(text, clock_realtime_usec(), &since) < 0) {
        complain("--since takes an event's number, a time like 5m (ago) or 2026-01-31T12:00:00Z; "
                 "'%s' is none of these",
                 text);
        return EXIT_CODE_USAGE;
    }
    add_number(parameters, since.is_number ? "since" : "since_usec",
               since.is_number ? since.sequence : since.time_usec);
    if (since.start > 0)
        add_number(parameters, "start", since.start);
    return EXIT_CODE_OK;
}

static int make_parameters(const struct invocation *invocation, json_t **ret)
{
    json_auto_t *parameters = json_object();
    int code = add_types(parameters, invocation);
    if (code == EXIT_CODE_OK)
        code = add_words(parameters, "programs", invocation->programs);
    if (code == EXIT_CODE_OK)
        code = add_words(parameters, "commands", invocation->commands);
    if (code == EXIT_CODE_OK)
        code = add_since(parameters, invocation->since);
    if (code == EXIT_CODE_OK)
        *ret = TAKE_PTR(parameters);
    return code;
}

/* What comes */

/* Each line for machines tells whose number it has. */
static void print_reply(const struct following *following, json_t *parameters)
{
    if (following->start > 0)
        add_number(parameters, "start", following->start);
    print_json(parameters, false);
}

static void tell_missed(const struct following *following, json_t *parameters, json_t *missed)
{
    uint64_t first = get_number(missed, "first"), last = get_number(missed, "last");
    if (following->json)
        print_reply(following, parameters);
    else if (first == 0)
        complain("earlier events, up to number %" PRIu64 ", are gone: " KEPT, last);
    else
        complain("events %" PRIu64 "..%" PRIu64 " are gone: " KEPT, first, last);
}

static void show(struct following *following, json_t *parameters)
{
    json_t *event = json_object_get(parameters, "event"),
           *missed = json_object_get(parameters, "missed");
    if (json_is_object(missed)) {
        following->last = get_number(missed, "last");
        tell_missed(following, parameters, missed);
    }
    if (!json_is_object(event))
        return;
    following->last = get_number(parameters, "sequence");
    if (following->json)
        print_reply(following, parameters);
    else
        print_event(event);
}

/* Cut off: where to go on. */
static void tell_how_to_resume(const struct following *following)
{
    if (following->last > 0 && following->start > 0)
        complain("the last event was number %" PRIu64 "; `reloaderctl events --since %" PRIu64
                 "@%" PRIu64 "` goes on behind it",
                 following->last, following->last, following->start);
}

static int follow(struct client *client, struct following *following)
{
    for (;;) {
        CLEANUP_REPLY struct client_reply reply = {0};
        int r = client_receive(client, USEC_INFINITY, &reply);
        if (r < 0) {
            int code = complain_of_connection(client, r);
            tell_how_to_resume(following);
            return code;
        }
        if (reply.error)
            return complain_of_error(&reply);
        if (!reply.continues)
            return EXIT_CODE_OK;
        show(following, reply.parameters);
    }
}

static struct following begin(const struct invocation *invocation, json_t *confirmation)
{
    const struct following following = {.json = invocation->json,
                                        .start = get_number(confirmation, "start")};
    if (json_is_true(json_object_get(confirmation, "restarted")))
        complain("that number is another master's: this one began later, and all that it keeps "
                 "follows");
    return following;
}

int command_events(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply confirmation = {0};
    json_t *parameters = NULL;
    int code = make_parameters(invocation, &parameters);
    if (code != EXIT_CODE_OK)
        return code;
    code = connect_or_complain(invocation, &client);
    if (code != EXIT_CODE_OK) {
        json_decref(parameters);
        return code;
    }
    code = ask(&client, "Subscribe", parameters, true, &confirmation);
    if (code != EXIT_CODE_OK)
        return code;
    struct following following = begin(invocation, confirmation.parameters);
    return follow(&client, &following);
}
