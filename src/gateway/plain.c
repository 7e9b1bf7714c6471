#include "gateway/plain.h"

#include "gateway/plain-stats.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* A request that waits for the master; gone with its answer, or when its client leaves. */
struct waiter {
    struct http_request *request;
    struct gateway *gateway;
    struct link_call *call;
};

static void on_gone(void *userdata)
{
    struct waiter *waiter = userdata;
    (void)link_cancel(waiter->call);
    free(waiter);
}

static void refuse(struct http_request *request, unsigned status, const char *text)
{
    http_reply_problem(request, status, text);
}

static struct waiter *waiter_new(struct http_request *request, struct gateway *gateway)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));
    if (!waiter) {
        refuse(request, 503, "out of memory");
        return NULL;
    }
    *waiter = (struct waiter){.request = request, .gateway = gateway};
    return waiter;
}

/* `r` tells whether the call was made. */
static void begin_waiting(struct waiter *waiter, int r)
{
    if (r == 0) {
        http_on_gone(waiter->request, on_gone, waiter);
        return;
    }
    refuse(waiter->request, 503, "out of memory");
    free(waiter);
}

static void answer_text(struct http_request *request, unsigned status, const char *text)
{
    if (status == 200)
        http_reply_json(request, status, json_pack("{s:s}", "result", text));
    else
        refuse(request, status, text);
}

static void answer_error(struct http_request *request, const struct link_reply *reply)
{
    CLEANUP_FREE char *text = NULL;
    unsigned status = plain_judge_error(reply, &text);
    refuse(request, status, text);
}

/* Reading */

void plain_help(struct http_request *request, struct gateway *gateway)
{
    static const char *const paths[][2] = {
        {"/help", "this list"},
        {"/stats", "process ids, CPU in percent and memory in MB of the master and its workers"},
        {"/info", "the same"},
        {"/reload", "replaces the workers gracefully; with ?wait=1 answers when that has ended"},
        {"/restart", "the same"},
        {"/quit", "ends the master gracefully"},
        {"/healthz", "is the master alive?"},
        {"/readyz", "is all ready that should run?"},
        {"/metrics", "for Prometheus"},
        {"/events", "what happens, as server-sent events"},
        {"/v1/openapi.json", "all else: the description of /v1"},
    };
    (void)gateway;
    json_t *list = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        (void)json_object_set_new(list, paths[i][0], json_string(paths[i][1]));
    http_reply_json(request, 200, json_pack("{s:o}", "result", list));
}

static int look(pid_t pid, pid_t parent, struct usage_sample *ret, void *userdata)
{
    return usage_look(userdata, pid, parent, ret);
}

static void answer_stats(struct http_request *request, struct usage *usage, json_t *status)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    int r = plain_print_stats(status, look, usage, &text, &size);
    if (r == 0)
        http_reply(request, 200, "application/json", text, size);
    else if (r == -ENOMEM)
        refuse(request, 503, "out of memory");
    else
        refuse(request, 500,
               "what the master uses can't be read in /proc; is it mounted with hidepid?");
}

static void on_status(const struct link_reply *reply, void *userdata)
{
    struct waiter *waiter = userdata;
    if (reply->error)
        answer_error(waiter->request, reply);
    else
        answer_stats(waiter->request, waiter->gateway->usage, reply->parameters);
    free(waiter);
}

void plain_stats(struct http_request *request, struct gateway *gateway)
{
    struct waiter *waiter = waiter_new(request, gateway);
    if (waiter)
        begin_waiting(waiter, link_status(gateway->link, on_status, waiter, &waiter->call));
}

/* Acting */

/* Of `wait` in the query: 0 or 1, or -EINVAL, when it is answered. */
static int read_wait(struct http_request *request)
{
    const char *wait = http_query(request, "wait");
    if (!wait || strcmp(wait, "0") == 0)
        return 0;
    if (strcmp(wait, "1") == 0)
        return 1;
    refuse(request, 400, "wait is 0 or 1");
    return -EINVAL;
}

static void act(struct http_request *request, struct gateway *gateway, const char *method,
                json_t *parameters, unsigned flags, link_handler handler)
{
    struct waiter *waiter = waiter_new(request, gateway);
    if (!waiter) {
        json_decref(parameters);
        return;
    }
    link_forget_status(gateway->link);
    begin_waiting(waiter, link_call(gateway->link, method, parameters, flags, handler, waiter,
                                    &waiter->call));
}

static void on_accepted(const struct link_reply *reply, void *userdata)
{
    struct waiter *waiter = userdata;
    link_forget_status(waiter->gateway->link);
    if (reply->error)
        answer_error(waiter->request, reply);
    else
        answer_text(waiter->request, 200, "accepted");
    free(waiter);
}

static void on_reloaded(const struct link_reply *reply, void *userdata)
{
    struct waiter *waiter = userdata;
    CLEANUP_FREE char *text = NULL;
    link_forget_status(waiter->gateway->link);
    unsigned status = reply->error ? plain_judge_error(reply, &text)
                                   : plain_judge_reload(reply->parameters, &text);
    answer_text(waiter->request, status, text);
    free(waiter);
}

void plain_reload(struct http_request *request, struct gateway *gateway)
{
    int wait = read_wait(request);
    if (wait > 0)
        act(request, gateway, "Reload", NULL, LINK_LONG, on_reloaded);
    else if (wait == 0)
        act(request, gateway, "Reload", json_pack("{s:b}", "wait", 0), 0, on_accepted);
}

void plain_quit(struct http_request *request, struct gateway *gateway)
{
    if (read_wait(request) >= 0)
        act(request, gateway, "Shutdown", NULL, 0, on_accepted);
}
