/* send: a message to workers, and what became of it at each. */
#include "reloaderctl/commands.h"

#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *explain(const char *result)
{
    static const struct {
        const char *result, *text;
    } texts[] = {
        {"sent", "sent"},
        {"draining", "not sent: it drains"},
        {"stopping", "not sent: it is being stopped"},
        {"no_channel", "not sent: it has closed its channel"},
        {"full", "not sent: it has not read earlier messages, and there is no room for more"},
        {"not_running", "not sent: no worker runs there"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (strcmp(texts[i].result, result) == 0)
            return texts[i].text;
    return result;
}

static bool is_sent(json_t *entry)
{
    const char *result = json_string_value(json_object_get(entry, "result"));
    return result && strcmp(result, "sent") == 0;
}

/* "web/0: sent", by pid where a slot has several. */
static void show_entry(const struct invocation *invocation, json_t *entry)
{
    CLEANUP_FREE char *name = get_text(entry, "name"), *result = get_text(entry, "result");
    struct screen screen = screen_look(STDOUT_FILENO);
    enum tone tone = is_sent(entry) ? TONE_GOOD : TONE_BAD;
    bool unread = json_is_true(json_object_get(entry, "unread"));
    if (invocation->quiet && is_sent(entry))
        return;
    (void)printf("%s", name);
    if (get_number(entry, "pid") > 0)
        (void)printf(" (pid %" PRIu64 ")", get_number(entry, "pid"));
    (void)printf(": %s%s%s%s\n", tone_begin(&screen, tone), explain(result),
                 tone_end(&screen, tone),
                 unread ? "; it has not yet read what was sent before" : "");
}

static bool is_same_slot(json_t *a, json_t *b)
{
    return json_equal(json_object_get(a, "program"), json_object_get(b, "program")) &&
           json_equal(json_object_get(a, "slot"), json_object_get(b, "slot"));
}

/* Has a worker of its slot got it? An old one that leaves need not. */
static bool has_arrived(json_t *results, json_t *entry)
{
    json_t *other;
    size_t i;
    json_array_foreach(results, i,
                       other) if (is_sent(other) && is_same_slot(other, entry)) return true;
    return false;
}

static int finish(const struct invocation *invocation, json_t *reply)
{
    json_t *results = json_object_get(reply, "results"), *entry;
    int code = EXIT_CODE_OK;
    size_t i;
    if (invocation->json)
        print_json(reply, false);
    else if (json_array_size(results) == 0)
        complain("there is no worker to send it to");
    json_array_foreach(results, i, entry)
    {
        if (!invocation->json)
            show_entry(invocation, entry);
        if (!has_arrived(results, entry))
            code = EXIT_CODE_FAILED;
    }
    return json_array_size(results) == 0 ? EXIT_CODE_FAILED : code;
}

/* The last one is the message, those before it are names. NULL: usage, which was said. */
static json_t *make_parameters(char *const *arguments)
{
    size_t n = strv_length(arguments);
    json_error_t error;
    if (n < 2) {
        complain("send takes names (as start does) and a message in JSON: "
                 "send web '{\"cmd\":\"flush\"}'");
        return NULL;
    }
    json_t *message = json_loads(arguments[n - 1], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
                                 &error);
    if (!message) {
        CLEANUP_FREE char *clean = text_clean(arguments[n - 1]);
        complain("'%s' is no JSON: %s; a text needs its own quotes: '\"hello\"'", clean,
                 error.text);
        return NULL;
    }
    json_t *names = json_array();
    for (size_t i = 0; i < n - 1; i++)
        if (json_array_append_new(names, json_string(arguments[i])) < 0) {
            complain("'%s' is no valid text (UTF-8)", arguments[i]);
            json_decref(message);
            json_decref(names);
            return NULL;
        }
    return json_pack("{s:o, s:o}", "programs", names, "message", message);
}

int command_send(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    json_t *parameters = make_parameters(invocation->arguments);
    if (!parameters)
        return EXIT_CODE_USAGE;
    int code = connect_or_complain(invocation, &client);
    if (code != EXIT_CODE_OK) {
        json_decref(parameters);
        return code;
    }
    code = ask(&client, "Send", parameters, false, &reply);
    return code == EXIT_CODE_OK ? finish(invocation, reply.parameters) : code;
}
