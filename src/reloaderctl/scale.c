/* scale: another number of workers. */
#include "reloaderctl/commands.h"

#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* "6", "+2", "-1" (with a blank before it, see main.c). */
static json_t *make_parameters(const char *program, const char *number)
{
    uint64_t n;
    number += *number == ' ';
    bool relative = *number == '+' || *number == '-';
    if (parse_unsigned(number + relative, 0, INT_MAX, &n) < 0)
        return NULL;
    return json_pack("{s:s, s:I}", "program", program, relative ? "by" : "workers",
                     *number == '-' ? -(json_int_t)n : (json_int_t)n);
}

static uint64_t workers_of(json_t *reply, const char *program)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(reply, "programs"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && strcmp(name, program) == 0)
            return get_number(entry, "workers");
    }
    return 0;
}

static int show(const struct invocation *invocation, json_t *reply, const char *program)
{
    CLEANUP_FREE char *outcome = get_words(reply, "result"),
                      *reason = get_lines(reply, "reason", "  ");
    bool committed = strcmp(outcome, "committed") == 0;
    if (invocation->json)
        print_json(reply, false);
    else if (committed && workers_of(reply, program) > 0)
        (void)printf("%s: %" PRIu64 " worker%s\n", program, workers_of(reply, program),
                     workers_of(reply, program) == 1 ? "" : "s");
    else if (committed)
        (void)printf("%s: as many when it is started\n", program);
    else
        complain("%s: %s%s%s", program, outcome, reason[0] ? ": " : "", reason);
    return committed ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

int command_scale(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    char **arguments = invocation->arguments;
    json_t *parameters = strv_length(arguments) == 2 ? make_parameters(arguments[0], arguments[1])
                                                     : NULL;
    if (!parameters) {
        complain("scale takes a program and a number of workers: web 6, web +2 or web -1");
        return EXIT_CODE_USAGE;
    }
    int code = connect_or_complain(invocation, &client);
    if (code != EXIT_CODE_OK) {
        json_decref(parameters);
        return code;
    }
    code = ask(&client, "Scale", parameters, false, &reply);
    return code == EXIT_CODE_OK ? show(invocation, reply.parameters, arguments[0]) : code;
}
