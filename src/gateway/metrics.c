#include "gateway/metrics.h"

#include "base/clock.h"
#include "gateway/exposition.h"
#include "gateway/gateway.h"

#include <errno.h>
#include <stdlib.h>

/* What was made of the last Status, which is known by its address while we hold it. */
struct metrics {
    json_t *status;             /* a reference; NULL: forgotten */
    struct http_body *texts[2]; /* NULL: not asked for yet; that of OpenMetrics is the second one */
    unsigned n_bodies;          /* those that are still read included */
    sd_event_source *forget;
};

/* A request that waits for Status. */
struct scrape {
    struct http_request *request;
    struct gateway *gateway;
    struct link_call *call;
    bool openmetrics;
};

/* The texts */

static void forget(struct metrics *metrics)
{
    json_decref(metrics->status);
    metrics->status = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(metrics->texts); i++)
        metrics->texts[i] = http_body_unref(metrics->texts[i]);
}

static int on_forget(UNUSED sd_event_source *source, UNUSED uint64_t usec, void *userdata)
{
    forget(userdata);
    return 0;
}

int metrics_new(sd_event *event, struct metrics **ret)
{
    CLEANUP(metrics_freep) struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return -ENOMEM;
    int r = sd_event_add_time(event, &metrics->forget, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_forget,
                              metrics);
    if (r >= 0)
        r = sd_event_source_set_enabled(metrics->forget, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(metrics->forget, "metrics");
    *ret = TAKE_PTR(metrics);
    return 0;
}

struct metrics *metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return NULL;
    forget(metrics);
    sd_event_source_disable_unref(metrics->forget);
    free(metrics);
    return NULL;
}

static void on_freed(void *userdata)
{
    struct metrics *metrics = userdata;
    metrics->n_bodies--;
}

static int make_text(const struct scrape *scrape, const json_t *status, struct http_body **ret)
{
    CLEANUP_METRICS_PROCESSES struct metrics_processes processes = {0};
    const struct metrics_source source = {.status = status,
                                          .processes = &processes,
                                          .connections = http_connections(scrape->gateway->http)};
    struct metrics *metrics = scrape->gateway->metrics;
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;
    if (metrics->n_bodies >= METRICS_BODIES_MAX)
        return -EBUSY;
    int r = status ? metrics_look(status, &processes) : 0;
    if (r == 0)
        r = metrics_render(&source, scrape->openmetrics, &text, &size);
    if (r == 0)
        r = http_body_new(text, size, on_freed, metrics, ret);
    if (r < 0)
        return r;
    text = NULL;
    metrics->n_bodies++;
    return 0;
}

/* Others who get the same Status get the same text. */
static void keep(struct metrics *metrics, json_t *status, bool openmetrics, struct http_body *text)
{
    if (metrics->status != status) {
        forget(metrics);
        metrics->status = json_incref(status);
        (void)sd_event_source_set_time(metrics->forget, clock_monotonic_usec() + LINK_STATUS_USEC);
        (void)sd_event_source_set_enabled(metrics->forget, SD_EVENT_ONESHOT);
    }
    metrics->texts[openmetrics] = http_body_ref(text);
}

static int get_text(const struct scrape *scrape, json_t *status, struct http_body **ret)
{
    struct metrics *metrics = scrape->gateway->metrics;
    if (status && status == metrics->status && metrics->texts[scrape->openmetrics]) {
        *ret = http_body_ref(metrics->texts[scrape->openmetrics]);
        return 0;
    }
    int r = make_text(scrape, status, ret);
    if (r == 0 && status)
        keep(metrics, status, scrape->openmetrics, *ret);
    return r;
}

/* Requests */

/* Without a master this is no error of ours: `reloader_up` says it, as with other exporters. */
static void answer(const struct link_reply *reply, void *userdata)
{
    struct scrape *scrape = userdata;
    CLEANUP(http_body_unrefp) struct http_body *text = NULL;
    int r = get_text(scrape, reply->error ? NULL : reply->parameters, &text);
    if (r == -EBUSY)
        http_reply_problem(scrape->request, 503, "too many clients read this too slowly");
    else if (r < 0)
        http_reply_problem(scrape->request, 503, "out of memory");
    else
        http_reply_body(scrape->request, 200,
                        scrape->openmetrics ? EXPOSITION_TYPE_OPENMETRICS : EXPOSITION_TYPE_TEXT,
                        text);
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
        http_reply_problem(request, 503, "out of memory");
        return;
    }
    *scrape = (struct scrape){.request = request,
                              .gateway = gateway,
                              .openmetrics = exposition_is_wanted(http_header(request, "Accept"))};
    if (link_status(gateway->link, answer, scrape, &scrape->call) < 0) {
        http_reply_problem(request, 503, "out of memory");
        free(scrape);
        return;
    }
    http_on_gone(request, give_up, scrape);
}
