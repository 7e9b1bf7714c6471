/* Why workers that have to leave are still here. */
#include "reloaderctl/commands.h"
#include "reloaderctl/why-text.h"

#include <stdio.h>
#include <unistd.h>

#define CONNECTIONS 10

static json_t *make_parameters(const struct invocation *invocation)
{
    json_t *names = json_array();
    for (char *const *name = invocation->arguments; *name; name++)
        (void)json_array_append_new(names, json_string(*name));
    json_t *parameters = json_pack("{s:b}", "all", invocation->all);
    if (json_array_size(names) > 0)
        (void)json_object_set(parameters, "programs", names);
    json_decref(names);
    return parameters;
}

static void print_workers(const struct invocation *invocation, json_t *workers)
{
    struct screen screen = screen_look(STDOUT_FILENO);
    size_t max = invocation->count > 0 ? (size_t)invocation->count : CONNECTIONS, i;
    json_t *worker;
    if (json_array_size(workers) == 0)
        (void)printf(invocation->all ? "no worker is here\n"
                                     : "no worker is draining or stopping\n");
    json_array_foreach(workers, i, worker)
    {
        if (i > 0)
            (void)putchar('\n');
        why_print_worker(worker, max, &screen, stdout);
    }
}

int command_why(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Why", make_parameters(invocation), false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    if (invocation->json)
        print_json(reply.parameters, true);
    else
        print_workers(invocation, json_object_get(reply.parameters, "workers"));
    CLEANUP_FREE char *failure = get_text(reply.parameters, "failure");
    if (failure[0] == '\0')
        return EXIT_CODE_OK;
    complain("connections are not known: %s", failure);
    return EXIT_CODE_FAILED;
}
