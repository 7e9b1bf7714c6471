/* signal: a signal to workers; tells each that got it. */
#include "reloaderctl/commands.h"

#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *result_of(json_t *entry)
{
    const char *result = json_string_value(json_object_get(entry, "result"));
    return result ? result : "";
}

/* "web/0: SIGUSR1 sent to pid 4711", "jobs: not running". */
static void show_entry(json_t *entry, const char *signal)
{
    CLEANUP_FREE char *program = get_text(entry, "program"), *name = get_text(entry, "name"),
                      *result = get_words(entry, "result"), *reason = get_text(entry, "reason");
    char who[32] = "";
    if (json_is_integer(json_object_get(entry, "slot")))
        (void)snprintf(who, sizeof(who), ":%" PRIu64, get_number(entry, "slot"));
    const char *at = name[0] ? name : program;
    if (strcmp(result_of(entry), "sent") == 0)
        (void)printf("%s: %s sent to pid %" PRIu64 "\n", at, signal, get_number(entry, "pid"));
    else
        complain("%s%s: %s%s%s", at, name[0] ? "" : who, result, reason[0] ? ": " : "", reason);
}

static int show(const struct invocation *invocation, json_t *reply, const char *signal)
{
    json_t *results = json_object_get(reply, "results"), *entry;
    int code = EXIT_CODE_OK;
    size_t i;
    if (invocation->json)
        print_json(reply, false);
    else if (json_array_size(results) == 0)
        (void)printf("there is nobody to send it to\n");
    json_array_foreach(results, i, entry)
    {
        bool sent = strcmp(result_of(entry), "sent") == 0;
        if (!sent)
            code = EXIT_CODE_FAILED;
        if (!invocation->json && !(invocation->quiet && sent))
            show_entry(entry, signal);
    }
    return code;
}

int command_signal(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    json_auto_t *names = NULL;
    char *const *arguments = invocation->arguments;
    char signal[SIGNAL_NAME_SIZE];
    int number;
    if (strv_length(arguments) < 2) {
        complain("which signal, and to whom? `reloaderctl signal USR1 web`");
        return EXIT_CODE_USAGE;
    }
    /* As kill(1) takes it: "-9". */
    if (parse_signal(arguments[0] + (strncmp(arguments[0], " -", 2) == 0 ? 2 : 0), &number) < 0) {
        complain("'%s' is no signal; TERM, SIGTERM and 15 are", arguments[0]);
        return EXIT_CODE_USAGE;
    }
    int code = names_from_arguments(arguments + 1, &names);
    if (code == EXIT_CODE_OK)
        code = connect_or_complain(invocation, &client);
    if (code != EXIT_CODE_OK)
        return code;
    const char *name = signal_to_string(number, signal);
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", number);
    code = ask(
        &client, "Signal",
        json_pack("{s:s, s:O, s:b}", "signal", text, "programs", names, "group", invocation->group),
        false, &reply);
    return code == EXIT_CODE_OK ? show(invocation, reply.parameters, name) : code;
}
