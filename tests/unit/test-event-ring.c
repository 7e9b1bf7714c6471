/* test-event-ring.c - the ring of the last events, what it forgets, and the filters of who subscribes. */
#include "base/macros.h"
#include "base/strv.h"
#include "control/event-ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct event_ring ring;

static int set_up(UNUSED void **state)
{
    event_ring_init(&ring);
    return 0;
}

static int tear_down(UNUSED void **state)
{
    event_ring_clear(&ring);
    return 0;
}

/* At the time 1000 times its number. */
static int add(uint64_t sequence, size_t size)
{
    CLEANUP_FREE char *text = malloc(size);
    memset(text, 'x', size);
    json_auto_t *event = json_pack("{s:I, s:s%}", "time_usec", (json_int_t)(sequence * 1000), "text", text,
                                   size);
    return event_ring_add(&ring, event_filter_type("worker"), sequence, event);
}

static uint64_t find(uint64_t sequence)
{
    const struct event_entry *entry = event_ring_find(&ring, sequence);
    return entry ? entry->sequence : 0;
}

static void test_text(UNUSED void **state)
{
    json_auto_t *event = json_pack("{s:s, s:i}", "type", "worker", "time_usec", 77);
    assert_int_equal(event_ring_add(&ring, event_filter_type("worker"), 5, event), 0);
    const struct event_entry *entry = event_ring_find(&ring, 1);
    assert_non_null(entry);
    assert_int_equal(entry->time_usec, 77);
    assert_int_equal(entry->size, strlen(entry->text) + 1);
    json_auto_t *reply = json_loads(entry->text, 0, NULL),
                *wanted = json_pack("{s:b, s:{s:i, s:O}}", "continues", 1, "parameters", "sequence", 5,
                                    "event", event);
    assert_true(json_equal(reply, wanted));
}

static void test_bounded_by_count(UNUSED void **state)
{
    assert_int_equal(find(0), 0);
    for (uint64_t i = 1; i <= 3 * EVENT_RING_EVENTS_MAX + 5; i++) {
        assert_int_equal(add(i, 10), 0);
        assert_true(ring.n <= EVENT_RING_EVENTS_MAX);
    }
    assert_int_equal(ring.last, 3 * EVENT_RING_EVENTS_MAX + 5);
    assert_int_equal(ring.gone, 2 * EVENT_RING_EVENTS_MAX + 5);
    for (uint64_t i = 0; i <= ring.last + 1; i += 7)
        assert_int_equal(find(i), i > ring.last ? 0 : MAX(i, ring.gone + 1));
}

static void test_bounded_by_bytes(UNUSED void **state)
{
    for (uint64_t i = 1; i <= 500; i++) {
        assert_int_equal(add(i, i * 500), 0);
        assert_true(ring.bytes <= EVENT_RING_BYTES_MAX);
        assert_int_equal(find(i), i);
        assert_int_equal(find(0), ring.gone + 1);
    }
    assert_int_equal(add(501, EVENT_SIZE_MAX - 1000), 0);
    assert_true(ring.n >= 2);
}

/* Its number is used, and nothing else is lost for it. */
static void test_too_large(UNUSED void **state)
{
    assert_int_equal(add(1, 10), 0);
    assert_int_equal(add(2, EVENT_SIZE_MAX), -EMSGSIZE);
    assert_int_equal(add(3, 10), 0);
    assert_int_equal(find(1), 1);
    assert_int_equal(find(2), 3);
    assert_int_equal(ring.last, 3);
    json_auto_t *event = json_pack("{s:s, s:[i], s:{}, s:n, s:o}", "type", "reload", "a", 1, "b", "c", "d",
                                   json_stringn((char[2000]){0}, 2000));
    json_auto_t *brief = event_shorten(event),
                *wanted = json_pack("{s:s, s:n, s:[s, s, s]}", "type", "reload", "c", "omitted", "a", "b", "d");
    assert_true(json_equal(brief, wanted));
}

static void test_since_a_time(UNUSED void **state)
{
    uint64_t gone = 99;
    assert_int_equal(event_ring_since(&ring, 0, &gone), 1);
    assert_int_equal(gone, 0);
    for (uint64_t i = 1; i <= 10; i++)
        assert_int_equal(add(i, 10), 0);
    assert_int_equal(event_ring_since(&ring, 0, &gone), 1);
    assert_int_equal(event_ring_since(&ring, 5000, &gone), 5);
    assert_int_equal(event_ring_since(&ring, 5001, &gone), 6);
    assert_int_equal(event_ring_since(&ring, 10001, &gone), 11);
    assert_int_equal(gone, 0);
    for (uint64_t i = 11; i <= EVENT_RING_EVENTS_MAX + 10; i++)
        assert_int_equal(add(i, 10), 0);
    assert_int_equal(event_ring_since(&ring, 10001, &gone), 11);
    assert_int_equal(gone, 0);
    assert_int_equal(event_ring_since(&ring, 10000, &gone), 11);
    assert_int_equal(gone, 10);
}

/* What it was not there for is gone, as is what it forgot. */
static void test_a_late_beginning(UNUSED void **state)
{
    uint64_t gone;
    assert_int_equal(add(8, 10), 0);
    assert_int_equal(ring.gone, 7);
    (void)event_ring_since(&ring, 1, &gone);
    assert_int_equal(gone, 7);
    event_ring_clear(&ring);
    assert_int_equal(find(0), 0);
    assert_int_equal(ring.last, 8);
    event_ring_skip(&ring, 20);
    assert_int_equal(add(21, 10), 0);
    assert_int_equal(ring.gone, 20);
    assert_int_equal(find(0), 21);
}

/* Filters */

static bool passes(unsigned types, const char *program, const char *command, const char *type,
                   const char *event_text)
{
    json_auto_t *event = json_loads(event_text, 0, NULL);
    assert_non_null(event);
    struct event_filter filter = {.types = types};
    if (program)
        assert_int_equal(strv_append(&filter.programs, program), 0);
    if (command)
        assert_int_equal(strv_append(&filter.commands, command), 0);
    const struct event_facts facts = event_facts_of(event_filter_type(type), event);
    bool result = event_filter_passes(&filter, &facts);
    event_filter_clear(&filter);
    return result;
}

#define WEB_1 "{\"program\":\"web\",\"name\":\"web/1\",\"slot\":1}"

static void test_types(UNUSED void **state)
{
    static const char *const types[] = {"master",  "reload", "rollout", "worker",
                                        "message", "log",    "socket",  "job"};
    unsigned seen = 0;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_true(event_filter_type(types[i]) != 0);
        assert_int_equal(seen & event_filter_type(types[i]), 0);
        seen |= event_filter_type(types[i]);
        assert_int_equal(passes(event_filter_type("worker"), NULL, NULL, types[i], "{}"), i == 3);
        assert_true(passes(EVENT_FILTER_ALL, NULL, NULL, types[i], "{}"));
    }
    assert_int_equal(event_filter_type("nonsense"), 0);
    assert_true(passes(EVENT_FILTER_ALL, NULL, NULL, "nonsense", "{}"));
    assert_false(passes(seen, NULL, NULL, "nonsense", "{}"));
}

static void test_programs(UNUSED void **state)
{
    static const char *const good[] = {"web", "web:*", "web:1", "web/1", "web:web/1"},
                             *const bad[] = {"we", "webs", "web:", "web:2", "web:01x", "web/2", "*", "", "jobs"};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(passes(EVENT_FILTER_ALL, good[i], NULL, "worker", WEB_1));
        assert_false(passes(EVENT_FILTER_ALL, good[i], NULL, "master", "{\"state\":\"running\"}"));
        assert_false(passes(EVENT_FILTER_ALL, good[i], NULL, "socket", "{\"name\":\"web/1\"}"));
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(passes(EVENT_FILTER_ALL, bad[i], NULL, "worker", WEB_1));
    assert_true(passes(EVENT_FILTER_ALL, "web", NULL, "rollout", "{\"program\":\"web\"}"));
    assert_false(passes(EVENT_FILTER_ALL, "web:1", NULL, "rollout", "{\"program\":\"web\"}"));
    assert_true(passes(EVENT_FILTER_ALL, "web", NULL, "job", "{\"target\":" WEB_1 "}"));
    assert_false(passes(EVENT_FILTER_ALL, "jobs", NULL, "job", "{\"target\":" WEB_1 "}"));
    assert_false(passes(EVENT_FILTER_ALL, "web:1", NULL, "worker", "{\"program\":\"web\",\"slot\":-1}"));
}

static void test_commands(UNUSED void **state)
{
    const unsigned message = event_filter_type("message");
    assert_true(passes(message, NULL, "status", "message", "{\"value\":{\"cmd\":\"status\"}}"));
    assert_false(passes(message, NULL, "status", "message", "{\"value\":{\"cmd\":\"stat\"}}"));
    assert_false(passes(message, NULL, "status", "message", "{\"value\":{\"cmd\":7}}"));
    assert_false(passes(message, NULL, "status", "message", "{\"value\":\"status\"}"));
    assert_false(passes(message, NULL, "status", "message", "{\"cmd\":\"status\"}"));
    assert_true(passes(EVENT_FILTER_ALL, NULL, "status", "worker", "{\"value\":{\"cmd\":\"x\"}}"));
    assert_false(passes(message, "jobs", "status", "message",
                        "{\"program\":\"web\",\"value\":{\"cmd\":\"status\"}}"));
}

/* Facts are the entry's own: the event may be gone. */
static void test_facts_are_kept(UNUSED void **state)
{
    json_t *event = json_loads("{\"program\":\"web\",\"name\":\"web/1\",\"slot\":1,\"value\":{\"cmd\":\"x\"}}", 0, NULL);
    assert_int_equal(event_ring_add(&ring, event_filter_type("message"), 1, event), 0);
    json_decref(event);
    const struct event_facts *facts = &event_ring_find(&ring, 1)->facts;
    assert_string_equal(facts->program, "web");
    assert_string_equal(facts->worker, "web/1");
    assert_string_equal(facts->command, "x");
    assert_int_equal(facts->slot, 1);
}

#define ringed(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ringed(test_text),           ringed(test_bounded_by_count), ringed(test_bounded_by_bytes),
        ringed(test_too_large),      ringed(test_since_a_time),     ringed(test_a_late_beginning),
        cmocka_unit_test(test_types), cmocka_unit_test(test_programs), cmocka_unit_test(test_commands),
        ringed(test_facts_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
