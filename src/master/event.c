#include "master/event.h"

#include "base/clock.h"
#include "base/log.h"

const char *event_type_to_string(enum event_type type)
{
    switch (type) {
    case EVENT_MASTER:
        return "master";
    case EVENT_RELOAD:
        return "reload";
    case EVENT_ROLLOUT:
        return "rollout";
    case EVENT_WORKER:
        return "worker";
    case EVENT_SOCKET:
        return "socket";
    case EVENT_JOB:
        return "job";
    case EVENT_LOG:
        return "log";
    case EVENT_MESSAGE:
        return "message";
    }
    return "?";
}

void event_bus_init(struct event_bus *bus)
{
    list_init(&bus->subscribers);
    bus->sequence = 0;
}

void event_bus_subscribe(struct event_bus *bus, struct event_subscriber *subscriber)
{
    list_append(&bus->subscribers, &subscriber->link);
}

void event_bus_unsubscribe(struct event_subscriber *subscriber)
{
    list_remove(&subscriber->link);
}

bool event_bus_is_heard(const struct event_bus *bus)
{
    LIST_FOREACH (subscriber, &bus->subscribers, struct event_subscriber, link)
        if (subscriber->listens(subscriber->userdata))
            return true;
    return false;
}

void event_bus_publish(struct event_bus *bus, enum event_type type, json_t *fields)
{
    if (!event_bus_is_heard(bus)) {
        json_decref(fields);
        return;
    }
    bus->sequence++;
    if (!fields) {
        log_error("an event of type %s was lost: out of memory", event_type_to_string(type));
        return;
    }
    (void)json_object_set_new(fields, "type", json_string(event_type_to_string(type)));
    (void)json_object_set_new(fields, "time_usec", json_integer((json_int_t)clock_realtime_usec()));
    LIST_FOREACH (subscriber, &bus->subscribers, struct event_subscriber, link)
        subscriber->handle(type, bus->sequence, fields, subscriber->userdata);
    json_decref(fields);
}

void event_bus_pass(struct event_bus *bus, uint64_t follower, json_t *lines)
{
    LIST_FOREACH (subscriber, &bus->subscribers, struct event_subscriber, link)
        if (subscriber->lines)
            subscriber->lines(follower, lines, subscriber->userdata);
}

void event_bus_answer(struct event_bus *bus, uint64_t inquiry, json_t *answer)
{
    LIST_FOREACH (subscriber, &bus->subscribers, struct event_subscriber, link)
        if (subscriber->answer)
            subscriber->answer(inquiry, answer, subscriber->userdata);
}
