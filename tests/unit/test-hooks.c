/* hook-queue.c: who is next, and who is one too many. hooks.c: what an event is, and whom it is about. */
#include "live.h"

#include "master/hook-queue.h"
#include "master/hooks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void push(struct hook_queue *queue, const char *program, const char *what)
{
    struct hook_lane *lane = hook_queue_lane(queue, program);
    struct hook_text *text = hook_text_new(what, strlen(what) + 1);
    assert_non_null(lane);
    assert_non_null(text);
    assert_int_equal(hook_queue_push(queue, lane, text, "worker"), 0);
    (void)hook_text_unref(text);
}

/* Starts one and says which. */
static struct hook *assert_next(struct hook_queue *queue, const char *program, const char *what)
{
    struct hook *hook = hook_queue_next(queue);
    assert_non_null(hook);
    assert_string_equal(hook->lane->program, program);
    assert_string_equal(hook->text->data, what);
    return hook;
}

static void test_in_order(UNUSED void **state)
{
    struct hook_queue queue;
    hook_queue_init(&queue);
    assert_null(hook_queue_next(&queue));
    push(&queue, "a", "1");
    push(&queue, "a", "2");
    struct hook *first = assert_next(&queue, "a", "1"), *second = assert_next(&queue, "a", "2");
    assert_null(hook_queue_next(&queue));
    assert_int_equal(queue.n_running, 2);
    hook_queue_end(&queue, first);
    hook_queue_end(&queue, second);
    assert_int_equal(queue.n_running + queue.n_waiting, 0);
    hook_queue_prune(&queue);
    assert_true(list_is_empty(&queue.lanes));
    hook_queue_clear(&queue);
}

/* One that came late has its turn before the second of who came first. */
static void test_lanes_take_turns(UNUSED void **state)
{
    struct hook_queue queue;
    hook_queue_init(&queue);
    for (char text[2] = "1"; *text <= '6'; (*text)++)
        push(&queue, "floods", text);
    push(&queue, "b", "x");
    push(&queue, "c", "y");
    struct hook *running[HOOKS_RUNNING_MAX] = {
        assert_next(&queue, "floods", "1"),
        assert_next(&queue, "b", "x"),
        assert_next(&queue, "c", "y"),
        assert_next(&queue, "floods", "2"),
    };
    assert_null(hook_queue_next(&queue));
    for (size_t i = 0; i < ARRAY_SIZE(running); i++)
        hook_queue_end(&queue, running[i]);
    hook_queue_clear(&queue);
}

static void test_a_place_is_left_to_others(UNUSED void **state)
{
    struct hook_queue queue;
    struct hook *running[HOOKS_RUNNING_LANE_MAX];
    hook_queue_init(&queue);
    for (char text[2] = "1"; *text <= '6'; (*text)++)
        push(&queue, "hangs", text);
    for (size_t i = 0; i < ARRAY_SIZE(running); i++)
        running[i] = hook_queue_next(&queue);
    assert_null(hook_queue_next(&queue));
    push(&queue, "b", "x");
    push(&queue, "b", "y");
    struct hook *other = assert_next(&queue, "b", "x");
    assert_null(hook_queue_next(&queue));
    hook_queue_end(&queue, running[0]);
    running[0] = assert_next(&queue, "hangs", "4");
    hook_queue_end(&queue, other);
    other = assert_next(&queue, "b", "y");
    hook_queue_end(&queue, other);
    for (size_t i = 0; i < ARRAY_SIZE(running); i++)
        hook_queue_end(&queue, running[i]);
    hook_queue_clear(&queue);
}

static void test_too_many(UNUSED void **state)
{
    struct hook_queue queue;
    hook_queue_init(&queue);
    for (unsigned i = 0; i < HOOKS_WAITING_LANE_MAX; i++)
        push(&queue, "floods", "x");
    struct hook_lane *lane = hook_queue_lane(&queue, "floods");
    struct hook_text *text = hook_text_new("one more", 9);
    assert_int_equal(hook_queue_push(&queue, lane, text, "worker"), -ENOBUFS);
    assert_int_equal(hook_queue_push(&queue, lane, text, "worker"), -ENOBUFS);
    assert_int_equal(text->references, 1);
    assert_int_equal(lane->n_dropped, 2);
    assert_int_equal(queue.n_waiting, HOOKS_WAITING_LANE_MAX);
    push(&queue, "b", "x");
    struct hook *hook = hook_queue_next(&queue);
    assert_int_equal(hook_queue_push(&queue, lane, text, "worker"), 0);
    assert_int_equal(text->references, 2);
    hook_queue_end(&queue, hook);
    (void)hook_text_unref(text);
    hook_queue_clear(&queue);
}

/* Until somebody was told how many were dropped. */
static void test_lanes_that_nobody_needs(UNUSED void **state)
{
    struct hook_queue queue;
    hook_queue_init(&queue);
    struct hook_lane *lane = hook_queue_lane(&queue, "a");
    assert_ptr_equal(hook_queue_lane(&queue, "a"), lane);
    lane->n_dropped = 1;
    hook_queue_prune(&queue);
    assert_false(list_is_empty(&queue.lanes));
    lane->n_dropped = 0;
    hook_queue_prune(&queue);
    assert_true(list_is_empty(&queue.lanes));
    hook_queue_clear(&queue);
}

static unsigned classify(enum event_type type, const char *text)
{
    json_t *event = json_loads(text, 0, NULL);
    assert_non_null(event);
    unsigned types = hooks_classify(type, event);
    json_decref(event);
    return types;
}

static void test_classify(UNUSED void **state)
{
    assert_int_equal(classify(EVENT_MASTER, "{}"), CONFIG_EVENT_MASTER);
    assert_int_equal(classify(EVENT_RELOAD, "{}"), CONFIG_EVENT_RELOAD);
    assert_int_equal(classify(EVENT_ROLLOUT, "{}"), CONFIG_EVENT_ROLLOUT);
    assert_int_equal(classify(EVENT_SOCKET, "{}"), CONFIG_EVENT_SOCKET);
    assert_int_equal(classify(EVENT_JOB, "{}"), CONFIG_EVENT_JOB);
    assert_int_equal(classify(EVENT_WORKER, "{\"new\": \"GONE\"}"), CONFIG_EVENT_WORKER);
    assert_int_equal(classify(EVENT_WORKER, "{\"new\": \"FATAL\"}"),
                     CONFIG_EVENT_WORKER | CONFIG_EVENT_FATAL);
    assert_int_equal(classify(EVENT_WORKER, "{\"new\": \"STOPPING\", \"crashed\": true}"),
                     CONFIG_EVENT_WORKER | CONFIG_EVENT_CRASH);
    /* What an application says is not what happens to it. */
    assert_int_equal(classify(EVENT_MESSAGE, "{\"new\": \"FATAL\", \"crashed\": true}"),
                     CONFIG_EVENT_MESSAGE);
}

static void assert_subject(const char *text, const char *expected)
{
    json_t *event = json_loads(text, 0, NULL);
    const char *subject = hooks_subject(event);
    if (expected)
        assert_string_equal(subject, expected);
    else
        assert_null(subject);
    json_decref(event);
}

static void test_subject(UNUSED void **state)
{
    assert_subject("{\"program\": \"web\"}", "web");
    assert_subject("{\"target\": {\"program\": \"web\"}}", "web");
    assert_subject("{\"state\": \"running\"}", NULL);
    assert_subject("{\"program\": 7, \"target\": \"web\"}", NULL);
    assert_subject("{\"value\": {\"program\": \"web\"}}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_lanes_take_turns),
        cmocka_unit_test(test_a_place_is_left_to_others),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_lanes_that_nobody_needs),
        cmocka_unit_test(test_classify),
        cmocka_unit_test(test_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
