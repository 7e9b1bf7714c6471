#include "reloaderctl/complete.h"

#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_USEC   USEC_PER_SEC
#define LIMIT_SECONDS 2

struct completion {
    const struct invocation *invocation;
    const char *socket;
    const char *prefix;
    char **found;
};

static void add(struct completion *completion, const char *word, const char *help)
{
    if (!string_starts_with(word, completion->prefix))
        return;
    int r = help ? strv_appendf(&completion->found, "%s\t%s", word, help)
                 : strv_append(&completion->found, word);
    if (r < 0)
        die_of_memory();
}

static void add_words(struct completion *completion, const char *const *words)
{
    for (; words && *words; words++)
        add(completion, *words, NULL);
}

/* Commands and options */

static bool is_offered(const struct completion *completion, const struct verb *verb)
{
    return completion->invocation->in_shell ? !verb->not_in_shell : !verb->shell_only;
}

static void add_alias(const char *alias, void *userdata)
{
    add(userdata, alias, NULL);
}

/* Aliases are for who knows them: they are offered where nothing else fits. */
static void add_commands(struct completion *completion)
{
    for (size_t i = 0; i < n_verbs; i++)
        if (is_offered(completion, &verbs[i]))
            add(completion, verbs[i].name, verbs[i].help);
    bool none = !completion->found;
    for (size_t i = 0; none && i < n_verbs; i++)
        if (is_offered(completion, &verbs[i]))
            verb_each_alias(&verbs[i], add_alias, completion);
}

static void add_options(struct completion *completion, const struct verb *verb)
{
    for (int i = 0; verb && i < VERB_OPTIONS; i++) {
        CLEANUP_FREE char *name = string_format("--%s", verb_options[i].name);
        if (!name)
            die_of_memory();
        if (verb->options & 1u << i)
            add(completion, name, verb_options[i].help);
    }
    if (!completion->invocation->in_shell)
        add(completion, "--socket", "the master's control socket");
    add(completion, "--help", verb ? "all about this command" : "all commands");
    if (!verb && !completion->invocation->in_shell)
        add(completion, "--version", "of this program");
}

static bool is_socket_option(const char *word)
{
    return strcmp(word, "-s") == 0 || strcmp(word, "--socket") == 0;
}

/* Is it one that the next word belongs to? That word's place, then. */
static bool takes_value(const char *word, enum verb_place *ret)
{
    static const enum verb_place places[VERB_OPTIONS] = {
        [OPTION_TYPE] = PLACE_EVENT_TYPE, [OPTION_PROGRAM] = PLACE_NAME};
    if (is_socket_option(word)) {
        *ret = PLACE_FILE;
        return true;
    }
    for (int i = 0; i < VERB_OPTIONS; i++) {
        const struct verb_option_row *row = &verb_options[i];
        if (row->value &&
            ((string_starts_with(word, "--") && strcmp(word + 2, row->name) == 0) ||
             (row->letter && word[0] == '-' && word[1] == row->letter && word[2] == '\0'))) {
            *ret = places[i];
            return true;
        }
    }
    return false;
}

/* Names */

static json_t *ask_status(const struct completion *completion)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    CLEANUP_FREE char *error = NULL;
    if (client_connect(completion->socket, &client, &error) < 0 ||
        client_call(&client, "Status", NULL, false) < 0 ||
        client_receive(&client, ANSWER_USEC, &reply) < 0 || reply.error)
        return NULL;
    return json_incref(reply.parameters);
}

static void add_name(struct completion *completion, json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name")),
               *state = json_string_value(json_object_get(object, "state"));
    /* One that would need to be quoted is none that shells could complete. */
    if (name && strpbrk(name, "\n\t '\"\\$`") == NULL)
        add(completion, name, state);
}

static void add_slots(struct completion *completion, json_t *program)
{
    const char *name = json_string_value(json_object_get(program, "name"));
    json_t *slots = json_object_get(program, "slots"), *slot;
    size_t i;
    json_array_foreach(slots, i, slot)
    {
        CLEANUP_FREE char *word = string_format("%s:%" PRIu64, name ? name : "",
                                                get_number(slot, "slot"));
        if (!word)
            die_of_memory();
        add(completion, word, json_string_value(json_object_get(slot, "state")));
    }
}

/* Slots once it is clear of which program; names of workers for who begins one that no program has. */
static void add_names(struct completion *completion, bool workers)
{
    json_auto_t *status = ask_status(completion);
    json_t *programs = json_object_get(status, "programs"), *program, *slot;
    size_t i, k;
    json_array_foreach(programs, i, program) add_name(completion, program);
    if (!workers)
        return;
    add(completion, "all", "every program");
    if (strchr(completion->prefix, ':'))
        json_array_foreach(programs, i, program) add_slots(completion, program);
    if (completion->found || completion->prefix[0] == '\0')
        return;
    json_array_foreach(programs, i, program)
        json_array_foreach(json_object_get(program, "slots"), k, slot) add_name(completion, slot);
}

static void add_place(struct completion *completion, enum verb_place place)
{
    switch (place) {
    case PLACE_PROGRAM:
    case PLACE_NAME:
        add_names(completion, place == PLACE_NAME);
        break;
    case PLACE_COMMAND:
        add_commands(completion);
        break;
    case PLACE_FILE:
        if (strv_append(&completion->found, COMPLETE_FILES) < 0)
            die_of_memory();
        break;
    case PLACE_SIGNAL:
    case PLACE_STREAM:
    case PLACE_EVENT_TYPE:
    case PLACE_SHELL:
        add_words(completion, verb_place_words(place));
        break;
    case PLACE_OTHER:
    case VERB_PLACES:
        break;
    }
}

char **complete_words(const struct invocation *invocation, char *const *words)
{
    size_t n = strv_length(words), n_arguments = 0;
    struct completion completion = {.invocation = invocation,
                                    .socket = invocation->socket,
                                    .prefix = n > 0 ? words[n - 1] : ""};
    const struct verb *verb = NULL;
    for (size_t i = 0; i + 1 < n; i++) {
        enum verb_place place;
        if (takes_value(words[i], &place)) {
            if (i + 2 == n) {
                add_place(&completion, place);
                return completion.found;
            }
            completion.socket = is_socket_option(words[i]) ? words[i + 1] : completion.socket;
            i++;
        } else if (string_starts_with(words[i], "--socket=")) {
            completion.socket = words[i] + strlen("--socket=");
        } else if (words[i][0] != '-' && !verb) {
            verb = verb_find(words[i], invocation->in_shell);
            if (!verb)
                return NULL;
        } else if (words[i][0] != '-') {
            n_arguments++;
        }
    }
    if (completion.prefix[0] == '-')
        add_options(&completion, verb);
    else
        add_place(&completion, verb ? verb_place_at(verb, n_arguments) : PLACE_COMMAND);
    return completion.found;
}

int complete_print(const struct invocation *invocation)
{
    (void)alarm(LIMIT_SECONDS);
    CLEANUP_STRV char **found = complete_words(invocation, invocation->arguments);
    STRV_FOREACH (line, found)
        (void)puts(*line);
    return EXIT_CODE_OK;
}
