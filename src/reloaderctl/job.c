/*
 * start, stop, restart: asks, tells each target as it is done, on a terminal by live lines, and returns whether all went well.
 */
#include "reloaderctl/commands.h"

#include "base/clock.h"
#include "reloaderctl/live.h"
#include "reloaderctl/screen.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct job {
    const struct invocation *invocation;
    const char *method;
    enum progress_goal goal;
    uint64_t id;
    uint64_t heard_usec;
    struct live live;
};

static void job_clear(struct job *job)
{
    live_clear(&job->live);
}

static bool is_good(json_t *target)
{
    const char *result = json_string_value(json_object_get(target, "result"));
    return result && strcmp(result, "failed") != 0 && strcmp(result, "superseded") != 0;
}

/* "web: started", "web:1: failed: …". */
static void show_target(const struct job *job, json_t *target)
{
    CLEANUP_FREE char *program = get_text(target, "program"), *result = get_words(target, "result"),
                      *reason = get_lines(target, "reason", "  ");
    struct screen screen = screen_look(STDOUT_FILENO);
    enum tone tone = is_good(target) ? TONE_GOOD : TONE_BAD;
    char slot[32] = "";
    if (job->invocation->json || (job->invocation->quiet && is_good(target)))
        return;
    if (json_is_integer(json_object_get(target, "slot")))
        (void)snprintf(slot, sizeof(slot), ":%" PRIu64, get_number(target, "slot"));
    (void)printf("%s%s: %s%s%s%s%s\n", program, slot, tone_begin(&screen, tone), result,
                 tone_end(&screen, tone), reason[0] ? ": " : "", reason);
    (void)fflush(stdout);
}

static int finish(const struct job *job, json_t *reply)
{
    json_t *results = json_object_get(reply, "results"), *target;
    int code = EXIT_CODE_OK;
    size_t i;
    if (job->invocation->json)
        print_json(reply, false);
    else if (json_array_size(results) == 0)
        (void)printf("there is nothing to do\n");
    json_array_foreach(results, i, target)
    {
        if (is_good(target))
            continue;
        code = EXIT_CODE_FAILED;
        /* A line has no room for all of the reason. */
        if (job->live.on)
            show_target(job, target);
    }
    return code;
}

static void take_event(struct job *job, json_t *event)
{
    json_t *targets = json_object_get(event, "targets"), *target = json_object_get(event, "target");
    if (targets)
        progress_aim(&job->live.progress, job->goal, targets);
    if (target && job->live.on)
        progress_target(&job->live.progress, target);
    else if (target)
        show_target(job, target);
}

/* A master that is stuck is told from one that waits. */
static int judge_silence(const struct client *client, struct job *job)
{
    if (clock_monotonic_usec() - job->heard_usec < CLIENT_ANSWER_USEC)
        return 0;
    job->heard_usec = clock_monotonic_usec();
    return job->id == 0 ? -ETIMEDOUT : client_probe(client);
}

/* No bound: workers drain as long as their configuration allows. */
static int follow(struct client *client, struct job *job)
{
    for (;;) {
        CLEANUP_REPLY struct client_reply reply = {0};
        int r = client_receive(client, job->live.on ? LIVE_REDRAW_USEC : CLIENT_ANSWER_USEC,
                               &reply);
        if (r == -ETIMEDOUT) {
            live_look(&job->live);
            r = judge_silence(client, job);
            if (r == 0)
                continue;
        }
        if (r < 0)
            return complain_of_connection(client, r);
        job->heard_usec = clock_monotonic_usec();
        if (reply.error)
            return complain_of_error(&reply);
        if (!reply.continues) {
            live_finish(&job->live);
            return finish(job, reply.parameters);
        }
        job->id = get_number(reply.parameters, "id");
        take_event(job, json_object_get(reply.parameters, "event"));
        live_look(&job->live);
    }
}

/* Live lines begin with what is there now. */
static int begin_live(const struct invocation *invocation, struct client *client, struct job *job)
{
    CLEANUP_REPLY struct client_reply status = {0};
    bool on = screen_look(STDOUT_FILENO).terminal && !invocation->json && !invocation->quiet;
    int code = on ? ask(client, "Status", NULL, false, &status) : EXIT_CODE_OK;
    if (code == EXIT_CODE_OK)
        live_begin(&job->live, on, invocation->socket, status.parameters);
    /* Until it is known which. */
    progress_aim(&job->live.progress, job->goal, NULL);
    job->heard_usec = clock_monotonic_usec();
    return code;
}

static int ask_only(struct client *client, const struct job *job, json_t *parameters)
{
    CLEANUP_REPLY struct client_reply reply = {0};
    (void)json_object_set_new(parameters, "wait", json_false());
    int code = ask(client, job->method, json_incref(parameters), false, &reply);
    if (code == EXIT_CODE_OK && job->invocation->json)
        print_json(reply.parameters, false);
    else if (code == EXIT_CODE_OK && !job->invocation->quiet)
        (void)printf("asked for\n");
    return code;
}

static void on_interrupt(UNUSED int number)
{
    static const char text[] = "\nIt goes on; `reloaderctl status` tells how far it is.\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(128 + SIGINT);
}

static int run(const struct invocation *invocation, const char *method, enum progress_goal goal)
{
    CLEANUP_CLIENT struct client client = {.fd = -1};
    CLEANUP(job_clear)
    struct job job = {
        .invocation = invocation, .method = method, .goal = goal, .live = {.observer = {.fd = -1}}};
    json_auto_t *parameters = json_object(), *names = NULL;
    int code = names_from_arguments(invocation->arguments, &names);
    if (code != EXIT_CODE_OK)
        return code;
    (void)json_object_set(parameters, "programs", names);
    if (invocation->force)
        (void)json_object_set_new(parameters, "force", json_true());
    code = connect_or_complain(invocation, &client);
    if (code != EXIT_CODE_OK)
        return code;
    if (invocation->no_wait)
        return ask_only(&client, &job, parameters);
    code = begin_live(invocation, &client, &job);
    if (code != EXIT_CODE_OK)
        return code;
    int r = client_call(&client, method, json_incref(parameters), true);
    if (r < 0)
        return complain_of_connection(&client, r);
    if (isatty(STDOUT_FILENO))
        (void)signal(SIGINT, on_interrupt);
    return follow(&client, &job);
}

int command_start(const struct invocation *invocation)
{
    return run(invocation, "Start", PROGRESS_READY);
}

int command_stop(const struct invocation *invocation)
{
    return run(invocation, "Stop", PROGRESS_GONE);
}

int command_restart(const struct invocation *invocation)
{
    return run(invocation, "Restart", PROGRESS_REPLACED);
}
