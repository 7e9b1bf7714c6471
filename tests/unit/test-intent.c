/*
 * test-intent.c - every intent against every event.
 */
#include "base/macros.h"
#include "master/intent.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define RUN      INTENT_RUN
#define RELOAD   INTENT_RELOAD
#define SHUTDOWN INTENT_SHUTDOWN
#define FORCED   INTENT_FORCED

#define N_INTENTS 6
#define N_EVENTS  5

static const struct intent intents[N_INTENTS] = {
    {RUN, false}, {RUN, true}, {RELOAD, false}, {RELOAD, true}, {SHUTDOWN, false}, {FORCED, false},
};

/* Rows as in `intents`, columns as in enum intent_event: RELOAD, RELOAD_BEGAN, RELOAD_ENDED, SHUTDOWN, FORCE. */
static const struct intent expected[N_INTENTS][N_EVENTS] = {
    {{RUN, true}, {RELOAD, false}, {RUN, false}, {SHUTDOWN, false}, {FORCED, false}},
    {{RUN, true}, {RELOAD, false}, {RUN, true}, {SHUTDOWN, false}, {FORCED, false}},
    {{RELOAD, true}, {RELOAD, false}, {RUN, false}, {SHUTDOWN, false}, {FORCED, false}},
    {{RELOAD, true}, {RELOAD, false}, {RUN, true}, {SHUTDOWN, false}, {FORCED, false}},
    {{SHUTDOWN, false}, {SHUTDOWN, false}, {SHUTDOWN, false}, {FORCED, false}, {FORCED, false}},
    {{FORCED, false}, {FORCED, false}, {FORCED, false}, {FORCED, false}, {FORCED, false}},
};

static void test_every_pair(void **state UNUSED)
{
    for (size_t i = 0; i < N_INTENTS; i++)
        for (int event = INTENT_EVENT_RELOAD; event <= INTENT_EVENT_FORCE; event++) {
            struct intent next = intent_next(intents[i], (enum intent_event)event);
            if (next.type != expected[i][event].type ||
                next.reload_wanted != expected[i][event].reload_wanted)
                fail_msg("intent %zu, event %d: type %d, reload wanted %d", i, event, next.type,
                         next.reload_wanted);
        }
}

static struct intent after(const enum intent_event *events, size_t n)
{
    struct intent intent = {0};
    for (size_t i = 0; i < n; i++)
        intent = intent_next(intent, events[i]);
    return intent;
}
#define AFTER(...)                                                                                 \
    after((const enum intent_event[]){__VA_ARGS__},                                                \
          ARRAY_SIZE(((const enum intent_event[]){__VA_ARGS__})))

static void test_several_wishes_are_one(void **state UNUSED)
{
    struct intent intent = AFTER(INTENT_EVENT_RELOAD, INTENT_EVENT_RELOAD,
                                 INTENT_EVENT_RELOAD_BEGAN);
    assert_int_equal(intent.type, INTENT_RELOAD);
    assert_false(intent.reload_wanted);
}

static void test_a_newer_reload_beats_an_older_one(void **state UNUSED)
{
    struct intent intent = AFTER(INTENT_EVENT_RELOAD, INTENT_EVENT_RELOAD_BEGAN,
                                 INTENT_EVENT_RELOAD);
    assert_true(intent.reload_wanted);
    intent = intent_next(intent, INTENT_EVENT_RELOAD_BEGAN);
    assert_int_equal(intent.type, INTENT_RELOAD);
    assert_false(intent.reload_wanted);
    /* One that was refused while another is wanted does not swallow that wish. */
    intent = AFTER(INTENT_EVENT_RELOAD, INTENT_EVENT_RELOAD_BEGAN, INTENT_EVENT_RELOAD,
                   INTENT_EVENT_RELOAD_ENDED);
    assert_int_equal(intent.type, INTENT_RUN);
    assert_true(intent.reload_wanted);
}

static void test_what_is_stronger_stays(void **state UNUSED)
{
    for (size_t i = 0; i < N_INTENTS; i++)
        for (int event = INTENT_EVENT_RELOAD; event <= INTENT_EVENT_FORCE; event++) {
            struct intent next = intent_next(intents[i], (enum intent_event)event);
            if (event != INTENT_EVENT_RELOAD_ENDED || intents[i].type > INTENT_RELOAD)
                assert_true(next.type >= intents[i].type);
            assert_false(next.type > INTENT_RELOAD && next.reload_wanted);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_several_wishes_are_one),
        cmocka_unit_test(test_a_newer_reload_beats_an_older_one),
        cmocka_unit_test(test_what_is_stronger_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
