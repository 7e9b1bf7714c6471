/* pid: of the master, or of the workers of that name, one a line, for scripts. */
#include "reloaderctl/commands.h"

#include "base/strv.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Does the word name this slot? As targets.h has it, but for groups, which a status does not tell. */
static bool names_slot(const char *word, const char *program, json_t *slot)
{
    const char *name = json_string_value(json_object_get(slot, "name"));
    CLEANUP_FREE char *numbered = string_format("%s:%" PRIu64, program, get_number(slot, "slot")),
                      *all = string_format("%s:*", program),
                      *named = string_format("%s:%s", program, name ? name : "*");
    if (!numbered || !all || !named)
        die_of_memory();
    return string_equal(word, "all") || string_equal(word, program) ||
           string_equal(word, numbered) || string_equal(word, all) || string_equal(word, named) ||
           string_equal(word, name);
}

/* True: there is such a name. */
static bool collect(json_t *status, const char *word, json_t *pids)
{
    json_t *program, *slot, *worker;
    size_t i, k, j;
    bool known = string_equal(word, "all");
    json_array_foreach(json_object_get(status, "programs"), i, program)
    {
        const char *name = json_string_value(json_object_get(program, "name"));
        known = known || string_equal(word, name);
        json_array_foreach(json_object_get(program, "slots"), k, slot)
        {
            if (!name || !names_slot(word, name, slot))
                continue;
            known = true;
            json_array_foreach(json_object_get(slot, "workers"), j, worker)(void)
                json_array_append(pids, json_object_get(worker, "pid"));
        }
    }
    return known;
}

static int show(const struct invocation *invocation, json_t *pids)
{
    json_t *pid;
    size_t i;
    if (invocation->json)
        print_json(pids, false);
    else
        json_array_foreach(pids, i, pid)(void)
            printf("%" PRIu64 "\n", (uint64_t)json_integer_value(pid));
    if (json_array_size(pids) > 0)
        return EXIT_CODE_OK;
    complain("nobody of that name runs; `reloaderctl start` starts what is stopped");
    return EXIT_CODE_FAILED;
}

int command_pid(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    json_auto_t *pids = json_array();
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Status", NULL, false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    if (!invocation->arguments[0])
        (void)json_array_append(
            pids, json_object_get(json_object_get(reply.parameters, "master"), "pid"));
    STRV_FOREACH (word, invocation->arguments)
        if (!collect(reply.parameters, *word, pids)) {
            complain("there is no program or worker '%s'; `reloaderctl status` lists them", *word);
            return EXIT_CODE_FAILED;
        }
    return show(invocation, pids);
}
