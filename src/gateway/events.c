/*
 * The subscription begins when the first client comes, with all that the master keeps (as much as we do), so that who was at another gateway
 * goes on where it was; and ends when nobody has been there for a while: a gateway that nobody looks at is not woken. Streams begin to
 * tell when that is read up to what there was, as only then it is known what is kept.
 *
 * If it breaks off while the link is there, it is asked for again, after the last number. All that a batch of replies brought is told in one go.
 */
#include "gateway/events.h"

#include "base/clock.h"
#include "base/memory.h"
#include "gateway/event-stream.h"

#include <errno.h>

#define RETRY_USEC     USEC_PER_SEC
#define BEAT_ACCURACY  USEC_PER_SEC
#define BEATS_IDLE_MAX 4
/* How long a client waits before it comes back: not all in the same moment. */
#define COME_BACK_MSEC  1000u
#define COME_BACK_STEP  37u
#define COME_BACK_RANGE 2000u

struct events {
    struct gateway *gateway;
    struct link_call *call; /* NULL: not subscribed */
    struct event_log log;
    uint64_t caught_up_at; /* the number up to which there were events when it was subscribed to */
    bool is_caught_up;
    bool is_draining;
    struct list streams;
    unsigned n_streams, n_ever;
    unsigned beats_idle;
    sd_event_source *feeding; /* on once something came */
    sd_event_source *heart;   /* on while there are streams, or were a little while ago */
    sd_event_source *again;   /* on until it is subscribed to again */
};

/* Streams */

static bool is_gone(const struct events *events)
{
    return !events->call && !link_is_up(events->gateway->link);
}

static void feed(struct events *events, struct event_stream *stream)
{
    if (events->is_caught_up)
        event_stream_feed(stream, &events->log);
    if (is_gone(events))
        event_stream_tell_gone(stream);
}

static void feed_all(struct events *events)
{
    LIST_FOREACH (stream, &events->streams, struct event_stream, link)
        feed(events, stream);
}

static int on_feeding(sd_event_source *source, void *userdata)
{
    (void)source;
    feed_all(userdata);
    return 0;
}

static void feed_soon(struct events *events)
{
    (void)sd_event_source_set_enabled(events->feeding, SD_EVENT_ONESHOT);
}

static void drop(struct events *events, struct event_stream *stream)
{
    event_stream_free(stream);
    events->n_streams--;
    events->beats_idle = 0;
}

static void on_left(void *userdata)
{
    struct event_stream *stream = userdata;
    stream->request = NULL;
    drop(stream->userdata, stream);
}

static void on_room(void *userdata)
{
    struct event_stream *stream = userdata;
    feed(stream->userdata, stream);
}

/* The subscription */

static void unsubscribe(struct events *events)
{
    events->call = link_cancel(events->call);
    (void)sd_event_source_set_enabled(events->again, SD_EVENT_OFF);
    event_log_clear(&events->log);
    events->is_caught_up = false;
}

static void try_again(struct events *events)
{
    if (link_is_up(events->gateway->link)) {
        (void)sd_event_source_set_time_relative(events->again, RETRY_USEC);
        (void)sd_event_source_set_enabled(events->again, SD_EVENT_ONESHOT);
    }
}

/* Who asked for what comes from now on begins here: at once, so that what follows in the same batch is told. */
static void catch_up(struct events *events)
{
    const struct event_log *log = &events->log;
    if (events->is_caught_up || log->start == 0 || log->ring.last < events->caught_up_at)
        return;
    events->is_caught_up = true;
    feed_all(events);
}

/* The first reply tells whose numbers they are, the others one event each, or what is missing. */
static void take_in(struct events *events, json_t *parameters)
{
    json_t *event = json_object_get(parameters, "event"),
           *missed = json_object_get(parameters, "missed"),
           *start = json_object_get(parameters, "start");
    struct event_log *log = &events->log;
    if (event) {
        json_int_t sequence = json_integer_value(json_object_get(parameters, "sequence"));
        (void)event_log_add(log, (uint64_t)sequence, event);
    } else if (missed) {
        event_log_skip(log, (uint64_t)json_integer_value(json_object_get(missed, "last")));
    } else if (start) {
        event_log_begin(log, (uint64_t)json_integer_value(start));
        events->caught_up_at = (uint64_t)json_integer_value(json_object_get(parameters, "last"));
    }
    catch_up(events);
}

static void on_reply(const struct link_reply *reply, void *userdata)
{
    struct events *events = userdata;
    if (reply->continues) {
        take_in(events, reply->parameters);
    } else {
        events->call = NULL;
        try_again(events);
    }
    feed_soon(events);
}

static int subscribe(struct events *events)
{
    const struct event_log *log = &events->log;
    json_t *start = log->start > 0 ? json_integer((json_int_t)log->start) : NULL;
    json_t *parameters = json_pack("{s:I, s:o*}", "since", (json_int_t)log->ring.last, "start",
                                   start);
    if (!parameters)
        return -ENOMEM;
    return link_call(events->gateway->link, "Subscribe", parameters, LINK_MORE, on_reply, events,
                     &events->call);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct events *events = userdata;
    (void)source;
    (void)usec;
    if (!events->call && subscribe(events) < 0)
        try_again(events);
    return 0;
}

/* Time */

static void set_heart(struct events *events, bool on)
{
    if (on)
        (void)sd_event_source_set_time_relative(events->heart, EVENTS_HEARTBEAT_USEC);
    (void)sd_event_source_set_enabled(events->heart, on ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int on_heart(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct events *events = userdata;
    (void)source;
    (void)usec;
    LIST_FOREACH (stream, &events->streams, struct event_stream, link)
        event_stream_beat(stream);
    if (events->n_streams > 0 || ++events->beats_idle < BEATS_IDLE_MAX) {
        set_heart(events, true);
        return 0;
    }
    unsubscribe(events);
    memory_give_back();
    return 0;
}

/* A client comes */

struct reading {
    struct event_wish wish;
    int error;
    const char *why;
    uint64_t now_usec;
};

static bool read_parameter(const char *name, const char *value, void *userdata)
{
    struct reading *reading = userdata;
    reading->error = event_wish_add(&reading->wish, name, value, reading->now_usec, &reading->why);
    return reading->error == 0;
}

static unsigned come_back_msec(const struct events *events)
{
    return COME_BACK_MSEC + events->n_ever * COME_BACK_STEP % COME_BACK_RANGE;
}

static void wake(struct events *events)
{
    int enabled = SD_EVENT_OFF;
    (void)sd_event_source_get_enabled(events->heart, &enabled);
    if (enabled == SD_EVENT_OFF)
        set_heart(events, true);
    events->beats_idle = 0;
    (void)sd_event_source_get_enabled(events->again, &enabled);
    if (!events->call && enabled == SD_EVENT_OFF && subscribe(events) < 0)
        try_again(events);
}

/* An answer that is no stream would make a browser give up. */
static void send_away(struct events *events, struct http_request *request)
{
    struct event_wish none = {0};
    struct event_stream *stream = event_stream_new(request, &none, come_back_msec(events));
    if (!stream)
        http_reply_problem(request, 503, NULL);
    event_stream_free(stream);
}

static void begin(struct events *events, struct http_request *request, struct event_wish *wish)
{
    events->n_ever++;
    struct event_stream *stream = event_stream_new(request, wish, come_back_msec(events));
    if (!stream) {
        http_reply_problem(request, 500, "There is no memory for one stream more.");
        return;
    }
    stream->userdata = events;
    http_on_gone(request, on_left, stream);
    http_on_room(request, on_room, stream);
    list_append(&events->streams, &stream->link);
    events->n_streams++;
    wake(events);
    feed(events, stream);
}

void events_handle(struct http_request *request, struct gateway *gateway)
{
    struct events *events = gateway->events;
    struct reading reading = {.now_usec = clock_realtime_usec()};
    http_each_query(request, read_parameter, &reading);
    event_wish_complete(&reading.wish, http_header(request, "Last-Event-ID"));
    if (reading.error == -EINVAL)
        http_reply_problem(request, 400, reading.why);
    else if (reading.error < 0)
        http_reply_problem(request, 500, "There is no memory for one stream more.");
    else if (events->is_draining)
        send_away(events, request);
    else if (events->n_streams == EVENTS_STREAMS_MAX)
        http_reply_problem(request, 503, "There are 1200 streams of events already, no more.");
    else
        begin(events, request, &reading.wish);
    event_wish_clear(&reading.wish);
}

/* The whole */

void events_drain(struct events *events)
{
    events->is_draining = true;
}

struct events *events_free(struct events *events)
{
    if (!events)
        return NULL;
    LIST_FOREACH_SAFE (stream, &events->streams, struct event_stream, link)
        drop(events, stream);
    unsubscribe(events);
    sd_event_source_disable_unref(events->feeding);
    sd_event_source_disable_unref(events->heart);
    sd_event_source_disable_unref(events->again);
    free(events);
    return NULL;
}

static int add_sources(struct events *events)
{
    sd_event *event = events->gateway->event;
    int r = sd_event_add_defer(event, &events->feeding, on_feeding, events);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &events->heart, CLOCK_MONOTONIC, 0, BEAT_ACCURACY,
                                       on_heart, events);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &events->again, CLOCK_MONOTONIC, 0, 0, on_again,
                                       events);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(events->feeding, "events-feeding");
    (void)sd_event_source_set_description(events->heart, "events-heart");
    (void)sd_event_source_set_description(events->again, "events-again");
    (void)sd_event_source_set_enabled(events->feeding, SD_EVENT_OFF);
    (void)sd_event_source_set_enabled(events->heart, SD_EVENT_OFF);
    (void)sd_event_source_set_enabled(events->again, SD_EVENT_OFF);
    return 0;
}

int events_new(struct gateway *gateway, struct events **ret)
{
    CLEANUP(events_freep) struct events *events = calloc(1, sizeof(*events));
    if (!events)
        return -ENOMEM;
    events->gateway = gateway;
    list_init(&events->streams);
    event_log_init(&events->log);
    int r = add_sources(events);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(events);
    return 0;
}
