/* Our version and the running master's; they differ after an update until the master is started anew. */
#include "reloaderctl/commands.h"

#include <stdio.h>

int command_version(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply reply = {0};
    if (!invocation->json)
        (void)printf("reloaderctl %s\n", RELOADER_VERSION);
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Version", NULL, false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    CLEANUP_FREE char *version = get_text(reply.parameters, "version");
    json_auto_t *both = json_pack("{s:s, s:s, s:i}", "reloaderctl", RELOADER_VERSION, "master",
                                  version, "pid", (int)client.pid);
    if (invocation->json)
        print_json(both, false);
    else
        (void)printf("master %s, pid %d\n", version, (int)client.pid);
    return EXIT_CODE_OK;
}
