/* Events as they come, one line each, until the master leaves. */
#include "reloaderctl/commands.h"

#include "reloaderctl/event-text.h"
#include "reloaderctl/screen.h"

#include <stdio.h>
#include <time.h>

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

static json_t *parameters_of(char *const *types)
{
    if (!types[0])
        return NULL;
    json_t *array = json_array();
    for (char *const *type = types; *type; type++)
        (void)json_array_append_new(array, json_string(*type));
    return json_pack("{s:o}", "types", array);
}

static int follow(struct client *client, bool json)
{
    for (;;) {
        CLEANUP_REPLY struct client_reply reply = {0};
        int r = client_receive(client, USEC_INFINITY, &reply);
        if (r < 0)
            return complain_of_connection(client, r);
        if (reply.error)
            return complain_of_error(&reply);
        if (!reply.continues)
            return EXIT_CODE_OK;
        json_t *event = json_object_get(reply.parameters, "event");
        if (json && event)
            print_json(reply.parameters, false);
        else if (json_is_object(event))
            print_event(event);
    }
}

int command_events(const struct invocation *invocation)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP_REPLY struct client_reply confirmation = {0};
    int code = connect_or_complain(invocation, &client);
    if (code == EXIT_CODE_OK)
        code = ask(&client, "Subscribe", parameters_of(invocation->arguments), true, &confirmation);
    return code == EXIT_CODE_OK ? follow(&client, invocation->json) : code;
}
