/*
 * Asks for a reload and follows it: on a terminal by live lines, elsewhere by a line per event, or quietly. The master's last word
 * is the result; if it leaves without one, that is no master (3), not a failed reload.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/strv.h"
#include "reloaderctl/event-text.h"
#include "reloaderctl/live.h"
#include "reloaderctl/screen.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct watch {
    const struct invocation *invocation;
    uint64_t id;
    uint64_t heard_usec;
    struct live live;
};

static void watch_clear(struct watch *watch)
{
    live_clear(&watch->live);
}

static void show_event(struct watch *watch, json_t *event)
{
    if (!json_is_object(event) || watch->invocation->json || watch->invocation->quiet)
        return;
    if (watch->live.on) {
        progress_event(&watch->live.progress, event);
        return;
    }
    CLEANUP_FREE char *text = event_text(event);
    (void)printf("%s\n", text);
    (void)fflush(stdout);
}

static void print_failed_slots(json_t *program, const char *told, const char *told_of_program)
{
    CLEANUP_FREE char *name = get_text(program, "name");
    json_t *slot;
    size_t i;
    json_array_foreach(json_object_get(program, "slots"), i, slot)
    {
        CLEANUP_FREE char *reason = get_lines(slot, "reason", "    ");
        if (reason[0] != '\0' && strcmp(reason, told) != 0 && strcmp(reason, told_of_program) != 0)
            (void)printf("  %s, slot %" PRIu64 ": %s\n", name, get_number(slot, "slot"), reason);
    }
}

/* What the result as a whole has not said yet. */
static void print_failed_programs(json_t *result, const char *told)
{
    json_t *program;
    size_t i;
    json_array_foreach(json_object_get(result, "programs"), i, program)
    {
        CLEANUP_FREE char *name = get_text(program, "name"),
                          *outcome = get_words(program, "result"),
                          *reason = get_lines(program, "reason", "  ");
        if (reason[0] != '\0' && strcmp(reason, told) != 0)
            (void)printf("  %s: %s: %s\n", name, outcome, reason);
        print_failed_slots(program, told, reason);
    }
}

static bool touched_nobody(json_t *result)
{
    json_t *program;
    size_t i;
    json_array_foreach(json_object_get(result, "programs"), i, program)
    {
        const char *outcome = json_string_value(json_object_get(program, "result"));
        if (!outcome || strcmp(outcome, "untouched") != 0)
            return false;
    }
    return json_array_size(json_object_get(result, "programs")) > 0;
}

static int show_result(const struct watch *watch, json_t *result)
{
    CLEANUP_FREE char *outcome = get_words(result, "result"),
                      *reason = get_lines(result, "reason", "  ");
    bool committed = strcmp(outcome, "committed") == 0;
    struct screen screen = screen_look(STDOUT_FILENO);
    enum tone tone = committed ? TONE_GOOD : TONE_BAD;
    char duration[DURATION_TEXT_SIZE];
    if (watch->invocation->json) {
        print_json(result, false);
        return committed ? EXIT_CODE_OK : EXIT_CODE_FAILED;
    }
    (void)printf("reload %" PRIu64 " %s%s%s after %s%s%s%s\n", get_number(result, "id"),
                 tone_begin(&screen, tone), outcome, tone_end(&screen, tone),
                 duration_to_text(get_number(result, "duration_usec"), duration),
                 reason[0] ? ": " : "", reason,
                 committed && touched_nobody(result) ? "; no program was touched" : "");
    if (!committed && !watch->live.on)
        print_failed_programs(result, reason);
    return committed ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static int complain_of_loss(const struct client *client, const struct watch *watch, int r)
{
    if (r != -ECONNRESET) {
        int code = complain_of_connection(client, r);
        if (r == -ETIMEDOUT && watch->id > 0)
            complain("reload %" PRIu64 " has no result yet; `reloaderctl history` will tell it",
                     watch->id);
        return code;
    }
    complain("the master (pid %d) left before reload %" PRIu64 " had a result; its log tells why",
             (int)client->pid, watch->id);
    return EXIT_CODE_NO_MASTER;
}

/*
 * That it takes the reload, the master says at once. Later it may be silent for as long as a worker drains, but it still
 * answers others. 0 or -ETIMEDOUT.
 */
static int judge_silence(const struct client *client, struct watch *watch)
{
    if (clock_monotonic_usec() - watch->heard_usec < CLIENT_ANSWER_USEC)
        return 0;
    int r = watch->id == 0 ? -ETIMEDOUT : client_probe(client);
    watch->heard_usec = clock_monotonic_usec();
    return r;
}

/* No bound: a reload takes what its workers' time-outs allow, and a master that lives has a last word or ends. */
static int follow(struct client *client, struct watch *watch)
{
    for (;;) {
        CLEANUP_REPLY struct client_reply reply = {0};
        int r = client_receive(client, watch->live.on ? LIVE_REDRAW_USEC : CLIENT_ANSWER_USEC,
                               &reply);
        if (r == -ETIMEDOUT) {
            live_look(&watch->live);
            r = judge_silence(client, watch);
            if (r == 0)
                continue;
        }
        if (r < 0)
            return complain_of_loss(client, watch, r);
        watch->heard_usec = clock_monotonic_usec();
        if (reply.error)
            return complain_of_error(&reply);
        if (!reply.continues) {
            progress_result(&watch->live.progress, reply.parameters);
            live_draw(&watch->live);
            return show_result(watch, reply.parameters);
        }
        if (watch->id == 0)
            watch->id = get_number(reply.parameters, "id");
        show_event(watch, json_object_get(reply.parameters, "event"));
        live_look(&watch->live);
    }
}

static void on_interrupt(UNUSED int number)
{
    static const char text[] = "\nThe reload goes on; `reloaderctl status` tells its result.\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(128 + SIGINT);
}

static int reload_and_follow(struct client *client, const struct invocation *invocation,
                             const char *method, json_t *parameters)
{
    CLEANUP(watch_clear)
    struct watch watch = {.invocation = invocation, .live = {.observer = {.fd = -1}}};
    bool on = screen_look(STDOUT_FILENO).terminal && !invocation->json && !invocation->quiet;
    CLEANUP_REPLY struct client_reply status = {0};
    int code = ask(client, "Status", NULL, false, &status);
    if (code != EXIT_CODE_OK)
        return code;
    live_begin(&watch.live, on, invocation->socket, status.parameters);
    watch.heard_usec = clock_monotonic_usec();
    int r = client_call(client, method, json_incref(parameters), true);
    if (r < 0)
        return complain_of_connection(client, r);
    if (on)
        (void)signal(SIGINT, on_interrupt);
    live_draw(&watch.live);
    return follow(client, &watch);
}

static int reload_without_waiting(struct client *client, const struct invocation *invocation,
                                  const char *method, json_t *parameters)
{
    CLEANUP_REPLY struct client_reply reply = {0};
    int code = ask(client, method, json_incref(parameters), false, &reply);
    if (code != EXIT_CODE_OK)
        return code;
    if (invocation->json)
        print_json(reply.parameters, false);
    else
        (void)printf("reload %" PRIu64 " asked for\n", get_number(reply.parameters, "id"));
    return EXIT_CODE_OK;
}

/* `parameters` is borrowed. */
static int run(const struct invocation *invocation, const char *method, json_t *parameters)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    if (invocation->dry_run) {
        (void)json_object_set_new(parameters, "dry_run", json_true());
        return show_plan(invocation, method, json_incref(parameters));
    }
    int code = connect_or_complain(invocation, &client);
    if (code != EXIT_CODE_OK)
        return code;
    if (!invocation->no_wait)
        return reload_and_follow(&client, invocation, method, parameters);
    (void)json_object_set_new(parameters, "wait", json_false());
    return reload_without_waiting(&client, invocation, method, parameters);
}

int command_reload(const struct invocation *invocation)
{
    json_auto_t *parameters = json_object(), *programs = json_array();
    STRV_FOREACH (name, invocation->arguments)
        (void)json_array_append_new(programs, json_string(*name));
    if (json_array_size(programs) > 0)
        (void)json_object_set(parameters, "programs", programs);
    return run(invocation, "Reload", parameters);
}

int command_update(const struct invocation *invocation)
{
    json_auto_t *parameters = json_pack("{s:b}", "changed_only", 1);
    return run(invocation, "Reload", parameters);
}

int command_undo(const struct invocation *invocation)
{
    json_auto_t *parameters = json_object();
    return run(invocation, "Undo", parameters);
}
