/*
 * Short calls wait in one queue for the first connection. The others have a lane each: a connection of their own. One that finds none free asks for
 * one by Connect, which is a short call; whichever call waits longest gets it when it comes.
 *
 * Handlers are called when the loop brings a reply, or (`settled`) in a later turn of the loop. A call is forgotten before its handler hears its last reply.
 */
#include "gateway/link.h"

#include "base/clock.h"
#include "base/fd.h"
#include "control/varlink.h"
#include "gateway/link-internal.h"

#include <errno.h>
#include <string.h>

#define INTERFACE "io.reloader.Control"

/* A connection, and the call on it: none if that was cancelled or waited too long, though its reply is still to come. */
struct lane {
    struct list in_link;
    struct link *link;
    struct link_connection *connection;
    struct link_call *call;
};

static void advance(struct link *link);

/* Telling */

/* Who waits for it is told, unless another one is on its way. */
static void connect_failed(struct link *link, const char *error, json_t *parameters)
{
    link->n_connecting--;
    if (link->waiting.n > link->n_connecting)
        link_settle(link, link_call_pop(&link->waiting), error, parameters);
}

void link_settle(struct link *link, struct link_call *call, const char *error, json_t *parameters)
{
    if (call->connects) {
        connect_failed(link, error, parameters);
        (void)link_call_free(call);
        return;
    }
    call->failed = error;
    call->error = error ? strdup(error) : NULL;
    call->parameters = parameters ? json_incref(parameters) : json_object();
    link_call_append(&link->settled, call);
    (void)sd_event_source_set_enabled(link->tell, SD_EVENT_ONESHOT);
}

static void tell(struct link_call *call)
{
    CLEANUP(link_call_freep) struct link_call *own = call;
    const char *error = own->failed ? LINK_ERROR_BUSY : NULL;
    const struct link_reply reply = {.error = own->error ? own->error : error,
                                     .parameters = own->parameters};
    own->handler(&reply, own->userdata);
}

/* Those that are there now: what handlers add has its own turn. */
static int on_tell(UNUSED sd_event_source *source, void *userdata)
{
    struct link *link = userdata;
    for (unsigned n = link->settled.n; n > 0 && link->settled.n > 0; n--)
        tell(link_call_pop(&link->settled));
    if (link->settled.n > 0)
        (void)sd_event_source_set_enabled(link->tell, SD_EVENT_ONESHOT);
    return 0;
}

/* Lanes */

static struct lane *lane_free(struct lane *lane)
{
    if (!lane)
        return NULL;
    list_remove(&lane->in_link);
    (void)link_connection_free(lane->connection);
    free(lane);
    return NULL;
}

static void close_lane(struct lane *lane)
{
    lane->link->n_lanes--;
    (void)lane_free(lane);
}

static struct link_call *take_call(struct lane *lane)
{
    struct link_call *call = TAKE_PTR(lane->call);
    if (call)
        call->lane = NULL;
    return call;
}

static void settle_lane(struct lane *lane, const char *error)
{
    struct link_call *call = take_call(lane);
    if (call)
        link_settle(lane->link, call, error, NULL);
}

static void settle_list(struct link *link, struct call_list *list, const char *error)
{
    struct link_call *call;
    while ((call = link_call_pop(list)))
        link_settle(link, call, error, NULL);
}

/* Those that wait for a lane come first, so that a Connect that fails with the rest finds none to tell. */
static void go_down(struct link *link)
{
    settle_list(link, &link->waiting, LINK_ERROR_GONE);
    LIST_FOREACH_SAFE (lane, &link->lanes, struct lane, in_link) {
        settle_lane(lane, LINK_ERROR_GONE);
        close_lane(lane);
    }
    settle_lane(link->first, LINK_ERROR_GONE);
    link->first = lane_free(link->first);
    settle_list(link, &link->queue, LINK_ERROR_GONE);
    if (link->down)
        link->down(link->down_userdata);
}

static void on_gone(void *userdata)
{
    struct lane *lane = userdata;
    struct link *link = lane->link;
    if (lane == link->first) {
        go_down(link);
        return;
    }
    settle_lane(lane, LINK_ERROR_GONE);
    close_lane(lane);
    advance(link);
}

static int lane_new(struct link *link, int fd, struct lane **ret);

static void on_connected(struct link *link, const struct link_reply *reply, int *fd)
{
    if (reply->error || *fd < 0) {
        connect_failed(link, reply->error ? reply->error : LINK_ERROR_GONE, reply->parameters);
        return;
    }
    struct lane *lane;
    if (lane_new(link, TAKE_FD(*fd), &lane) < 0) {
        connect_failed(link, LINK_ERROR_BUSY, NULL);
        return;
    }
    link->n_connecting--;
    link->n_lanes++;
    list_append(&link->lanes, &lane->in_link);
}

/* The last reply: the call is forgotten, and what waits has the connection. */
static void end_call(struct lane *lane, const struct link_reply *reply, int *fd)
{
    struct link *link = lane->link;
    CLEANUP(link_call_freep) struct link_call *call = take_call(lane);
    if (call && call->connects)
        on_connected(link, reply, fd);
    advance(link);
    if (call && !call->connects)
        call->handler(reply, call->userdata);
}

static void on_reply(const struct link_reply *reply, int *fd, void *userdata)
{
    struct lane *lane = userdata;
    if (!reply->continues)
        end_call(lane, reply, fd);
    else if (lane->call)
        lane->call->handler(reply, lane->call->userdata);
}

static int lane_new(struct link *link, int fd, struct lane **ret)
{
    static const struct link_connection_ops ops = {.reply = on_reply, .gone = on_gone};
    CLEANUP_FD int own = fd;
    struct lane *lane = calloc(1, sizeof(*lane));
    if (!lane)
        return -ENOMEM;
    *lane = (struct lane){.link = link};
    list_init(&lane->in_link);
    int r = link_connection_new(link->event, TAKE_FD(own), &ops, lane, &lane->connection);
    if (r < 0)
        (void)lane_free(lane);
    else
        *ret = lane;
    return r;
}

/* Sending */

static void send_on(struct lane *lane, struct link_call *call)
{
    CLEANUP_FREE char *text = TAKE_PTR(call->text);
    int r = link_connection_call(lane->connection, text, call->size, call->flags & LINK_MORE);
    if (r < 0) {
        link_settle(lane->link, call, LINK_ERROR_BUSY, NULL);
        return;
    }
    call->lane = lane;
    lane->call = call;
}

static int encode(const char *method, json_t *parameters, bool more, struct link_call *call)
{
    json_auto_t *message = json_pack("{s:s+, s:O*}", "method", INTERFACE ".", method, "parameters",
                                     parameters);
    if (!message || (more && json_object_set_new(message, "more", json_true()) < 0))
        return -ENOMEM;
    /* NULL, too, if it is nested too deep. */
    call->text = json_dumps(message, JSON_COMPACT);
    call->size = call->text ? strlen(call->text) + 1 : 0;
    return 0;
}

/* What a master can't take as a call, it answers by closing the connection. */
static bool is_valid(const struct link_call *call)
{
    CLEANUP_VARLINK_CALL struct varlink_call parsed = {0};
    return call->text && call->size <= LINK_CALL_MAX &&
           varlink_call_parse(call->text, call->size - 1, &parsed) == 0;
}

static int new_call(const struct link *link, const char *method, json_t *parameters, unsigned flags,
                    link_handler handler, void *userdata, struct link_call **ret)
{
    CLEANUP(link_call_freep) struct link_call *call = link_call_new(handler, userdata);
    if (!call)
        return -ENOMEM;
    call->flags = flags;
    call->deadline_usec = clock_monotonic_usec() + link->answer_usec;
    int r = encode(method, parameters, flags & LINK_MORE, call);
    if (r == 0)
        *ret = TAKE_PTR(call);
    return r;
}

static int add_connect(struct link *link)
{
    struct link_call *call;
    int r = new_call(link, "Connect", NULL, 0, NULL, NULL, &call);
    if (r < 0)
        return r;
    call->connects = true;
    link->n_connecting++;
    link_call_append(&link->queue, call);
    return 0;
}

/* As many as there are calls for them; if memory is short, a later call tries again. */
static void connect_lanes(struct link *link)
{
    while (link->n_connecting < link->waiting.n &&
           1 + link->n_lanes + link->n_connecting < LINK_CONNECTIONS_MAX)
        if (add_connect(link) < 0)
            return;
}

/* Idle ones get what waits. Of what is idle then, some are kept. */
static void use_lanes(struct link *link)
{
    unsigned n_idle = 0;
    LIST_FOREACH_SAFE (lane, &link->lanes, struct lane, in_link) {
        if (link_connection_is_busy(lane->connection))
            continue;
        struct link_call *call = link_call_pop(&link->waiting);
        if (call)
            send_on(lane, call);
        else if (++n_idle > LINK_IDLE_MAX)
            close_lane(lane);
    }
}

/* Calls wait equally long, so the oldest one's time is over first. */
static const struct link_call *oldest(const struct link *link)
{
    return link->first && link->first->call ? link->first->call : link_call_first(&link->queue);
}

static void set_deadline(struct link *link)
{
    const struct link_call *call = oldest(link);
    if (call)
        (void)sd_event_source_set_time(link->deadline, call->deadline_usec);
    (void)sd_event_source_set_enabled(link->deadline, call ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* Whoever added a call or freed a connection calls this. It calls no handler. */
static void advance(struct link *link)
{
    if (!link->first)
        return;
    use_lanes(link);
    connect_lanes(link);
    while (link->queue.n > 0 && !link_connection_is_busy(link->first->connection))
        send_on(link->first, link_call_pop(&link->queue));
    set_deadline(link);
}

static int on_deadline(UNUSED sd_event_source *source, UNUSED uint64_t usec, void *userdata)
{
    struct link *link = userdata;
    uint64_t now = clock_monotonic_usec();
    if (link->first && link->first->call && link->first->call->deadline_usec <= now)
        settle_lane(link->first, LINK_ERROR_TIMEOUT);
    struct link_call *call;
    while ((call = link_call_first(&link->queue)) && call->deadline_usec <= now)
        link_settle(link, link_call_pop(&link->queue), LINK_ERROR_TIMEOUT, NULL);
    advance(link);
    return 0;
}

/* From outside */

static unsigned count_streams(const struct link *link)
{
    unsigned n = 0;
    LIST_FOREACH (lane, &link->lanes, struct lane, in_link)
        n += lane->call && lane->call->flags & LINK_MORE;
    LIST_FOREACH (call, &link->waiting.calls, struct link_call, in_list)
        n += (call->flags & LINK_MORE) != 0;
    return n;
}

static const char *refusal(const struct link *link, const struct link_call *call)
{
    if (!link->first)
        return LINK_ERROR_GONE;
    if (!is_valid(call))
        return LINK_ERROR_INVALID;
    if (call->flags & LINK_MORE && count_streams(link) >= LINK_STREAMS_MAX)
        return LINK_ERROR_BUSY;
    const struct call_list *list = call->flags ? &link->waiting : &link->queue;
    return list->n >= LINK_QUEUE_MAX ? LINK_ERROR_BUSY : NULL;
}

int link_call(struct link *link, const char *method, json_t *parameters, unsigned flags,
              link_handler handler, void *userdata, struct link_call **ret)
{
    json_auto_t *own = parameters;
    struct link_call *call;
    int r = new_call(link, method, own, flags, handler, userdata, &call);
    if (r < 0)
        return r;
    const char *error = refusal(link, call);
    if (error)
        link_settle(link, call, error, NULL);
    else
        link_call_append(flags ? &link->waiting : &link->queue, call);
    if (ret)
        *ret = call;
    advance(link);
    return 0;
}

/* On the first connection others wait; a connection of its own is closed, by which the master stops as well. */
struct link_call *link_cancel(struct link_call *call)
{
    if (!call)
        return NULL;
    struct lane *lane = call->lane;
    if (lane) {
        struct link *link = lane->link;
        (void)take_call(lane);
        if (lane != link->first)
            close_lane(lane);
        advance(link);
    }
    return link_call_free(call);
}

bool link_is_up(const struct link *link)
{
    return link->first;
}

void link_on_down(struct link *link, void (*down)(void *userdata), void *userdata)
{
    link->down = down;
    link->down_userdata = userdata;
}

static int setup(struct link *link)
{
    int r = sd_event_add_defer(link->event, &link->tell, on_tell, link);
    if (r >= 0)
        r = sd_event_source_set_enabled(link->tell, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_time(link->event, &link->deadline, CLOCK_MONOTONIC, USEC_INFINITY, 0,
                              on_deadline, link);
    if (r >= 0)
        r = sd_event_source_set_enabled(link->deadline, SD_EVENT_OFF);
    if (r >= 0)
        r = link_status_setup(link);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(link->tell, "link-tell");
    (void)sd_event_source_set_description(link->deadline, "link-deadline");
    return 0;
}

int link_new(sd_event *event, int fd, struct link **ret)
{
    CLEANUP_FD int own = fd;
    CLEANUP(link_freep) struct link *link = calloc(1, sizeof(*link));
    if (!link)
        return -ENOMEM;
    link->event = sd_event_ref(event);
    link->answer_usec = LINK_ANSWER_USEC;
    list_init(&link->lanes);
    list_init(&link->queue.calls);
    list_init(&link->waiting.calls);
    list_init(&link->settled.calls);
    link_status_init(link);
    int r = setup(link);
    if (r >= 0)
        r = lane_new(link, TAKE_FD(own), &link->first);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(link);
    return 0;
}

static void drop_lane(struct lane *lane)
{
    if (lane)
        (void)link_call_free(take_call(lane));
    (void)lane_free(lane);
}

struct link *link_free(struct link *link)
{
    if (!link)
        return NULL;
    LIST_FOREACH_SAFE (lane, &link->lanes, struct lane, in_link)
        drop_lane(lane);
    drop_lane(link->first);
    link_call_list_clear(&link->queue);
    link_call_list_clear(&link->waiting);
    link_call_list_clear(&link->settled);
    link_status_teardown(link);
    (void)sd_event_source_disable_unref(link->tell);
    (void)sd_event_source_disable_unref(link->deadline);
    (void)sd_event_unref(link->event);
    free(link);
    return NULL;
}
