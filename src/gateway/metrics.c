#include "gateway/metrics.h"

#include "gateway/exposition.h"
#include "gateway/gateway.h"

#include <stdlib.h>

/* A request that waits for Status. */
struct scrape {
    struct http_request *request;
    struct gateway *gateway;
    struct link_call *call;
    bool openmetrics;
};

static int render(const struct scrape *scrape, const json_t *status, char **ret, size_t *ret_size)
{
    CLEANUP_METRICS_PROCESSES struct metrics_processes processes = {0};
    const struct metrics_source source = {.status = status,
                                          .processes = &processes,
                                          .connections = http_connections(scrape->gateway->http)};
    int r = status ? metrics_look(status, &processes) : 0;
    return r < 0 ? r : metrics_render(&source, scrape->openmetrics, ret, ret_size);
}

/* Without a master this is no error of ours: `reloader_up` says it, as with other exporters. */
static void answer(const struct link_reply *reply, void *userdata)
{
    struct scrape *scrape = userdata;
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    if (render(scrape, reply->error ? NULL : reply->parameters, &text, &size) < 0)
        http_reply_problem(scrape->request, 500, "there is not enough memory");
    else
        http_reply(scrape->request, 200,
                   scrape->openmetrics ? EXPOSITION_TYPE_OPENMETRICS : EXPOSITION_TYPE_TEXT, text,
                   size);
    free(scrape);
}

static void give_up(void *userdata)
{
    struct scrape *scrape = userdata;
    (void)link_cancel(scrape->call);
    free(scrape);
}

void metrics_handle(struct http_request *request, struct gateway *gateway)
{
    struct scrape *scrape = calloc(1, sizeof(*scrape));
    if (!scrape) {
        http_reply_problem(request, 500, "there is not enough memory");
        return;
    }
    *scrape = (struct scrape){.request = request,
                              .gateway = gateway,
                              .openmetrics = exposition_is_wanted(http_header(request, "Accept"))};
    if (link_status(gateway->link, answer, scrape, &scrape->call) < 0) {
        http_reply_problem(request, 500, "there is not enough memory");
        free(scrape);
        return;
    }
    http_on_gone(request, give_up, scrape);
}
