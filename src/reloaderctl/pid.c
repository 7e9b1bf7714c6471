/* pid: of the master, or of the workers of that name, one a line, for scripts. */
#include "reloaderctl/commands.h"

#include "base/strv.h"
#include "reloaderctl/narrow.h"
#include "reloaderctl/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void collect(json_t *status, const char *name, json_t *pids)
{
    json_t *program, *slot, *worker;
    size_t i, k, j;
    json_array_foreach(json_object_get(status, "programs"), i, program) json_array_foreach(
        json_object_get(program, "slots"), k, slot) if (name_means_slot(name, program, slot))
        json_array_foreach(json_object_get(slot, "workers"), j, worker)(void)
            json_array_append(pids, json_object_get(worker, "pid"));
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
    const char *unknown = status_narrow(reply.parameters, invocation->arguments);
    if (unknown)
        return complain_of_name(unknown);
    STRV_FOREACH (name, invocation->arguments)
        collect(reply.parameters, *name, pids);
    return show(invocation, pids);
}
