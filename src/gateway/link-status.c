/* At most one is on its way, and none is asked for within LINK_STATUS_USEC of the one before, whether that is still good or not. */
#include "base/clock.h"
#include "gateway/link-internal.h"

#include <errno.h>

static void ask(struct link *link);

static void forget(struct shared_status *status)
{
    json_decref(status->answer);
    status->answer = NULL;
    status->good = false;
}

static void settle_all(struct link *link, struct call_list *list, const struct link_reply *reply)
{
    struct link_call *call;
    while ((call = link_call_pop(list)))
        link_settle(link, call, reply->error, reply->parameters);
}

/* The next one is asked for when its time has come, by then or now. */
static void ask_next(struct link *link)
{
    struct shared_status *status = &link->status;
    if (status->asked || status->later.n == 0)
        return;
    if (clock_monotonic_usec() >= status->asked_usec + LINK_STATUS_USEC)
        ask(link);
}

static void on_status(const struct link_reply *reply, void *userdata)
{
    struct link *link = userdata;
    struct shared_status *status = &link->status;
    status->asked = false;
    if (reply->error)
        forget(status);
    else if (status->good)
        status->answer = json_incref(reply->parameters);
    settle_all(link, &status->waiting, reply);
    ask_next(link);
}

static void ask(struct link *link)
{
    struct shared_status *status = &link->status;
    forget(status);
    status->asked_usec = clock_monotonic_usec();
    (void)sd_event_source_set_time(status->timer, status->asked_usec + LINK_STATUS_USEC);
    (void)sd_event_source_set_enabled(status->timer, SD_EVENT_ONESHOT);
    struct link_call *call;
    while ((call = link_call_pop(&status->later)))
        link_call_append(&status->waiting, call);
    if (link_call(link, "Status", NULL, 0, on_status, link, NULL) < 0) {
        const struct link_reply busy = {.error = LINK_ERROR_BUSY};
        settle_all(link, &status->waiting, &busy);
        return;
    }
    status->asked = status->good = true;
}

/* The answer's memory is given back, too. */
static int on_timer(UNUSED sd_event_source *source, UNUSED uint64_t usec, void *userdata)
{
    struct link *link = userdata;
    forget(&link->status);
    ask_next(link);
    return 0;
}

int link_status(struct link *link, link_handler handler, void *userdata, struct link_call **ret)
{
    struct shared_status *status = &link->status;
    struct link_call *call = link_call_new(handler, userdata);
    if (!call)
        return -ENOMEM;
    if (status->waiting.n + status->later.n >= LINK_STATUS_MAX)
        link_settle(link, call, LINK_ERROR_BUSY, NULL);
    else if (!link_is_up(link))
        link_settle(link, call, LINK_ERROR_GONE, NULL);
    else if (status->answer)
        link_settle(link, call, NULL, status->answer);
    else if (status->good)
        link_call_append(&status->waiting, call);
    else
        link_call_append(&status->later, call);
    ask_next(link);
    if (ret)
        *ret = call;
    return 0;
}

void link_forget_status(struct link *link)
{
    forget(&link->status);
}

void link_status_init(struct link *link)
{
    list_init(&link->status.waiting.calls);
    list_init(&link->status.later.calls);
}

int link_status_setup(struct link *link)
{
    struct shared_status *status = &link->status;
    int r = sd_event_add_time(link->event, &status->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              USEC_PER_MSEC, on_timer, link);
    if (r >= 0)
        r = sd_event_source_set_enabled(status->timer, SD_EVENT_OFF);
    if (r >= 0)
        (void)sd_event_source_set_description(status->timer, "link-status");
    return r;
}

void link_status_teardown(struct link *link)
{
    (void)sd_event_source_disable_unref(link->status.timer);
    forget(&link->status);
    link_call_list_clear(&link->status.waiting);
    link_call_list_clear(&link->status.later);
}
