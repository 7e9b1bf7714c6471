/* event.c: what subscribers are told, in which order, with which numbers. And throttle.c, whose windows are counted in events. */
#include "live.h"

#include "master/event.h"
#include "worker/throttle.h"

#include <stdbool.h>
#include <string.h>

struct listening {
    struct event_subscriber subscriber;
    unsigned heard;
    uint64_t sequence;
    const char *type;
    json_t *event;
    bool deaf;
};

static void on_event(enum event_type type, uint64_t sequence, json_t *event, void *userdata)
{
    struct listening *listening = userdata;
    listening->heard++;
    listening->sequence = sequence;
    listening->type = event_type_to_string(type);
    json_decref(listening->event);
    listening->event = json_incref(event);
}

static bool does_listen(void *userdata)
{
    return !((struct listening *)userdata)->deaf;
}

static void subscribe(struct event_bus *bus, struct listening *listening)
{
    *listening = (struct listening){
        .subscriber = {.handle = on_event, .listens = does_listen, .userdata = listening}};
    event_bus_subscribe(bus, &listening->subscriber);
}

static void leave(struct listening *listening)
{
    event_bus_unsubscribe(&listening->subscriber);
    json_decref(listening->event);
    listening->event = NULL;
}

static void test_subscribers(UNUSED void **state)
{
    struct event_bus bus;
    struct listening first, second;
    event_bus_init(&bus);
    assert_false(event_bus_is_heard(&bus));
    event_bus_publish(&bus, EVENT_MASTER, json_object());
    subscribe(&bus, &first);
    assert_true(event_bus_is_heard(&bus));
    event_bus_publish(&bus, EVENT_WORKER, json_pack("{s:s}", "name", "web/0"));
    assert_int_equal(first.heard, 1);
    assert_int_equal(first.sequence, 1);
    assert_string_equal(first.type, "worker");
    assert_string_equal(json_string_value(json_object_get(first.event, "type")), "worker");
    assert_string_equal(json_string_value(json_object_get(first.event, "name")), "web/0");
    assert_true(json_integer_value(json_object_get(first.event, "time_usec")) > 0);
    assert_int_equal(first.event->refcount, 1);
    subscribe(&bus, &second);
    event_bus_publish(&bus, EVENT_MESSAGE, json_object());
    assert_int_equal(first.heard, 2);
    assert_int_equal(second.heard, 1);
    assert_int_equal(second.sequence, first.sequence);
    leave(&first);
    event_bus_publish(&bus, EVENT_RELOAD, json_object());
    assert_int_equal(first.heard, 2);
    assert_int_equal(second.sequence, 3);
    leave(&second);
    event_bus_unsubscribe(&second.subscriber);
    assert_false(event_bus_is_heard(&bus));
}

/* Who listens sees by the gap that there was one. */
static void test_a_lost_event_has_a_number(UNUSED void **state)
{
    struct event_bus bus;
    struct listening listening;
    event_bus_init(&bus);
    subscribe(&bus, &listening);
    event_bus_publish(&bus, EVENT_ROLLOUT, NULL);
    assert_int_equal(listening.heard, 0);
    event_bus_publish(&bus, EVENT_ROLLOUT, json_object());
    assert_int_equal(listening.sequence, 2);
    leave(&listening);
}

/* Nobody behind any subscriber: no event is made, and none is counted. */
static void test_nobody_listens(UNUSED void **state)
{
    struct event_bus bus;
    struct listening listening;
    event_bus_init(&bus);
    subscribe(&bus, &listening);
    listening.deaf = true;
    assert_false(event_bus_is_heard(&bus));
    event_bus_publish(&bus, EVENT_ROLLOUT, json_object());
    assert_int_equal(listening.heard, 0);
    listening.deaf = false;
    event_bus_publish(&bus, EVENT_ROLLOUT, json_object());
    assert_int_equal(listening.sequence, 1);
    leave(&listening);
}

static void test_names(UNUSED void **state)
{
    assert_string_equal(event_type_to_string(EVENT_MASTER), "master");
    assert_string_equal(event_type_to_string(EVENT_RELOAD), "reload");
    assert_string_equal(event_type_to_string(EVENT_ROLLOUT), "rollout");
    assert_string_equal(event_type_to_string(EVENT_WORKER), "worker");
    assert_string_equal(event_type_to_string(EVENT_MESSAGE), "message");
}

/* The throttle */

static int on_resume(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    (*(unsigned *)userdata)++;
    return 0;
}

static void test_throttle(UNUSED void **state)
{
    sd_event *event = NULL;
    struct throttle throttle;
    unsigned resumed = 0;
    assert_int_equal(sd_event_new(&event), 0);
    assert_int_equal(throttle_init(&throttle, event, 1000, on_resume, &resumed), 0);
    assert_true(throttle_spend(&throttle, 1));
    assert_int_equal(sd_event_source_get_enabled(throttle.timer, NULL), 0);
    /* More than is left, at once: there is no window in which that passes. */
    assert_false(throttle_spend(&throttle, 5000));
    RUN_UNTIL(event, resumed > 0);
    assert_int_equal(resumed, 1);
    assert_true(throttle_spend(&throttle, 999));
    assert_int_equal(sd_event_source_get_enabled(throttle.timer, NULL), 0);
    throttle_clear(&throttle);
    (void)sd_event_unref(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subscribers),
        cmocka_unit_test(test_a_lost_event_has_a_number),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_throttle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
