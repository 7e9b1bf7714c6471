#include "gateway/probes.h"

#include "gateway/plain.h"

/* A probe that waits for the master. */
struct probe {
    struct http_request *request;
    struct gateway *gateway;
    struct link_call *call;
};

static void on_gone(void *userdata)
{
    struct probe *probe = userdata;
    (void)link_cancel(probe->call);
    free(probe);
}

static void answer_well(struct http_request *request, const char *word)
{
    http_reply_json(request, 200, json_pack("{s:s}", "result", word));
}

/* Whatever the reason: who probes takes 503 as it is meant. */
static void answer_error(struct http_request *request, const struct link_reply *reply)
{
    CLEANUP_FREE char *text = NULL;
    (void)plain_judge_error(reply, &text);
    http_reply_problem(request, 503, text);
}

static void on_health(const struct link_reply *reply, void *userdata)
{
    struct probe *probe = userdata;
    if (reply->error)
        answer_error(probe->request, reply);
    else
        answer_well(probe->request, "ok");
    free(probe);
}

static void answer_readiness(const struct probe *probe, const struct link_reply *reply)
{
    bool is_ready;
    CLEANUP_FREE char *reason = probes_judge(reply->parameters, &is_ready);
    if (probe->gateway->draining)
        http_reply_problem(probe->request, 503, "the gateway is draining");
    else if (is_ready)
        answer_well(probe->request, "ready");
    else
        http_reply_problem(probe->request, 503, reason);
}

static void on_readiness(const struct link_reply *reply, void *userdata)
{
    struct probe *probe = userdata;
    if (reply->error)
        answer_error(probe->request, reply);
    else
        answer_readiness(probe, reply);
    free(probe);
}

static void ask(struct http_request *request, struct gateway *gateway, link_handler handler)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    if (probe)
        *probe = (struct probe){.request = request, .gateway = gateway};
    if (probe && link_status(gateway->link, handler, probe, &probe->call) == 0) {
        http_on_gone(request, on_gone, probe);
        return;
    }
    free(probe);
    http_reply_problem(request, 503, "out of memory");
}

void probes_healthz(struct http_request *request, struct gateway *gateway)
{
    ask(request, gateway, on_health);
}

void probes_readyz(struct http_request *request, struct gateway *gateway)
{
    ask(request, gateway, on_readiness);
}
