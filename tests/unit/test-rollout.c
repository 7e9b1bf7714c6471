/*
 * test-rollout.c - rollouts that the documentation describes, action by action. test-rollout-explore.c has all the others.
 */
#include "base/macros.h"
#include "program/rollout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS 300

struct fixture {
    struct rollout_slot slots[SLOTS];
    struct rollout_view view;
    char text[64 * ROLLOUT_ACTIONS_MAX];
};

/* A running program of `workers`, `canary` and drain-first as by default, in the middle of nothing. */
static void set_up(struct fixture *f, unsigned workers)
{
    *f = (struct fixture){.view = {
                              .canary = true,
                              .max_unavailable = MAX(workers / 4, 1U),
                              .max_surge = 1,
                              .workers = workers,
                              .target_workers = workers,
                              .n_slots = SLOTS,
                          }};
    f->view.slots = f->slots;
    for (unsigned i = 0; i < workers; i++)
        f->slots[i].current.presence = ROLLOUT_READY;
}

static void perform(struct fixture *f, const struct rollout_action *action)
{
    struct rollout_slot *slot = &f->slots[action->slot];
    switch (action->type) {
    case ROLLOUT_START_CURRENT:
        slot->current = (struct rollout_place){.presence = ROLLOUT_STARTING,
                                               .generation = action->generation};
        break;
    case ROLLOUT_START_SUCCESSOR:
        slot->successor = (struct rollout_place){.presence = ROLLOUT_STARTING,
                                                 .generation = action->generation};
        break;
    case ROLLOUT_SETTLE_CURRENT:
        slot->unsettled = false;
        slot->busy = true;
        break;
    case ROLLOUT_DRAIN_CURRENT:
    case ROLLOUT_STOP_CURRENT:
        slot->current.presence = ROLLOUT_NONE;
        slot->leaving++;
        break;
    case ROLLOUT_DRAIN_SUCCESSOR:
    case ROLLOUT_STOP_SUCCESSOR:
        slot->successor.presence = ROLLOUT_NONE;
        slot->leaving++;
        break;
    case ROLLOUT_PROMOTE:
        slot->current = slot->successor;
        slot->successor.presence = ROLLOUT_NONE;
        break;
    case ROLLOUT_FAIL:
        f->view.phase = ROLLOUT_ROLLING_BACK;
        f->view.failed = false;
        break;
    case ROLLOUT_COMMIT:
    case ROLLOUT_ROLLED_BACK:
    case ROLLOUT_DEGRADED:
        f->view.phase = ROLLOUT_IDLE;
        f->view.failed = false;
        break;
    }
}

/* Calls until nothing is left to do; the actions as text, "drain 1, promote 0". */
static const char *converge(struct fixture *f)
{
    static const char *const names[] = {
        [ROLLOUT_START_CURRENT] = "start", [ROLLOUT_START_SUCCESSOR] = "successor",
        [ROLLOUT_DRAIN_CURRENT] = "drain", [ROLLOUT_DRAIN_SUCCESSOR] = "drain successor",
        [ROLLOUT_STOP_CURRENT] = "stop",   [ROLLOUT_STOP_SUCCESSOR] = "stop successor",
        [ROLLOUT_PROMOTE] = "promote",     [ROLLOUT_FAIL] = "fail",
        [ROLLOUT_COMMIT] = "commit",       [ROLLOUT_ROLLED_BACK] = "rolled back",
        [ROLLOUT_DEGRADED] = "degraded",
    };
    struct rollout_action actions[ROLLOUT_ACTIONS_MAX];
    size_t length = 0;
    f->text[0] = '\0';
    for (size_t n; (n = rollout_next(&f->view, actions)) > 0;)
        for (size_t i = 0; i < n; i++) {
            const char *name = names[actions[i].type];
            bool has_slot = actions[i].type < ROLLOUT_FAIL;
            length += (size_t)snprintf(f->text + length, sizeof(f->text) - length,
                                       has_slot ? "%s%s %u" : "%s%s", length > 0 ? ", " : "", name,
                                       actions[i].slot);
            assert_true(length < sizeof(f->text));
            perform(f, &actions[i]);
        }
    return f->text;
}

/* Everything that is starting becomes ready. */
static void all_ready(struct fixture *f)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (f->slots[i].current.presence == ROLLOUT_STARTING)
            f->slots[i].current.presence = ROLLOUT_READY;
        if (f->slots[i].successor.presence == ROLLOUT_STARTING)
            f->slots[i].successor.presence = ROLLOUT_READY;
    }
}

static void all_gone(struct fixture *f)
{
    for (unsigned i = 0; i < SLOTS; i++)
        f->slots[i].leaving = 0;
}

static void test_boot_starts_all(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 3);
    memset(f.slots, 0, sizeof(f.slots));
    assert_string_equal(converge(&f), "start 0, start 1, start 2");
    all_ready(&f);
    assert_string_equal(converge(&f), "");
}

static void test_one_worker_is_replaced_before_it_drains(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 1);
    f.view.phase = ROLLOUT_CANARY;
    assert_string_equal(converge(&f), "successor 0");
    all_ready(&f);
    assert_string_equal(converge(&f), "");
    f.view.phase = ROLLOUT_ROLLING;
    assert_string_equal(converge(&f), "drain 0, promote 0, commit");
}

static void test_default_with_four(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 4);
    f.view.phase = ROLLOUT_CANARY;
    assert_string_equal(converge(&f), "successor 0");
    all_ready(&f);
    f.view.phase = ROLLOUT_ROLLING;
    assert_string_equal(converge(&f), "drain 0, drain 1, promote 0");
    for (unsigned i = 1; i < 4; i++) {
        assert_string_equal(converge(&f), "");
        all_gone(&f);
        (void)converge(&f);
        assert_int_equal(f.slots[i].current.presence, ROLLOUT_STARTING);
        all_ready(&f);
        assert_string_equal(converge(&f), i == 1 ? "drain 2" : i == 2 ? "drain 3" : "commit");
    }
}

static void test_all_at_once(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 4);
    f.view.canary = false;
    f.view.max_unavailable = 4;
    f.view.max_surge = 0;
    f.view.phase = ROLLOUT_ROLLING;
    assert_string_equal(converge(&f), "drain 0, drain 1, drain 2, drain 3");
    f.slots[2].leaving = 0;
    assert_string_equal(converge(&f), "start 2");
    all_gone(&f);
    assert_string_equal(converge(&f), "start 0, start 1, start 3");
    all_ready(&f);
    assert_string_equal(converge(&f), "commit");
}

static void test_ready_first_within_surge(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 4);
    f.view.order = ROLLOUT_READY_FIRST;
    f.view.canary = false;
    f.view.max_unavailable = 0;
    f.view.max_surge = 3;
    f.view.phase = ROLLOUT_ROLLING;
    assert_string_equal(converge(&f), "successor 0, successor 1, successor 2");
    f.slots[1].successor.presence = ROLLOUT_READY;
    assert_string_equal(converge(&f), "drain 1, promote 1, successor 3");
    all_ready(&f);
    assert_string_equal(converge(&f),
                        "drain 0, drain 2, drain 3, promote 0, promote 2, promote 3, commit");
}

static void test_a_failed_canary_touches_nobody(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 4);
    f.view.phase = ROLLOUT_CANARY;
    assert_string_equal(converge(&f), "successor 0");
    f.slots[0].successor.presence = ROLLOUT_NONE;
    f.view.failed = true;
    assert_string_equal(converge(&f), "fail, rolled back");

    /* Another program's canary failed: ours is told. */
    f.view.phase = ROLLOUT_CANARY;
    assert_string_equal(converge(&f), "successor 0");
    all_ready(&f);
    f.view.failed = true;
    assert_string_equal(converge(&f), "fail, drain successor 0, rolled back");
}

static void test_the_canary_goes_where_nobody_is_ready(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 4);
    f.view.phase = ROLLOUT_CANARY;
    f.slots[2] = (struct rollout_slot){.backoff = true};
    assert_string_equal(converge(&f), "successor 2");
    assert_int_equal(f.slots[2].successor.generation, ROLLOUT_TARGET);
    /* Before the canary is proven the crashed one comes back in the old generation. */
    f.slots[2].backoff = false;
    assert_string_equal(converge(&f), "start 2");
    assert_int_equal(f.slots[2].current.generation, ROLLOUT_COMMITTED);
    /* Afterwards in the new one: what is not ready goes first. */
    f.slots[2].successor.presence = ROLLOUT_READY;
    f.slots[3].current.presence = ROLLOUT_NONE;
    f.view.phase = ROLLOUT_ROLLING;
    assert_string_equal(converge(&f), "stop 2, promote 2, start 3");
    assert_int_equal(f.slots[3].current.generation, ROLLOUT_TARGET);
}

static void test_moved_slots_return(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 4);
    f.view.phase = ROLLOUT_ROLLING;
    f.slots[0].current.generation = ROLLOUT_TARGET;
    f.slots[1] = (struct rollout_slot){.leaving = 1};
    f.view.failed = true;
    assert_string_equal(converge(&f), "fail");
    f.slots[1].leaving = 0;
    assert_string_equal(converge(&f), "start 1");
    assert_int_equal(f.slots[1].current.generation, ROLLOUT_COMMITTED);
    all_ready(&f);
    assert_string_equal(converge(&f), "drain 0");
    all_gone(&f);
    assert_string_equal(converge(&f), "start 0");
    f.view.failed = true;
    assert_string_equal(converge(&f), "degraded");
}

/* Its predecessor still drains when a fresh worker dies: nobody would serve for as long as that takes. */
static void test_availability_comes_before_drain_first(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 1);
    f.slots[0] = (struct rollout_slot){.leaving = 1};
    assert_string_equal(converge(&f), "start 0");
    f.slots[0].current.presence = ROLLOUT_NONE;
    f.view.canary = false;
    assert_string_equal(converge(&f), "");
}

static void test_fewer_workers_and_a_new_generation(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 4);
    f.view.phase = ROLLOUT_CANARY;
    f.view.target_workers = 2;
    assert_string_equal(converge(&f), "successor 0");
    all_ready(&f);
    f.view.phase = ROLLOUT_ROLLING;
    f.view.workers = 2;
    assert_string_equal(converge(&f), "drain 0, drain 1, promote 0");
    all_gone(&f);
    assert_string_equal(converge(&f), "start 1");
    all_ready(&f);
    assert_string_equal(converge(&f), "drain 2, drain 3, commit");
}

static void test_more_workers_and_a_new_generation(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 2);
    f.view.phase = ROLLOUT_CANARY;
    f.view.target_workers = 4;
    assert_string_equal(converge(&f), "successor 2");
    all_ready(&f);
    f.view.phase = ROLLOUT_ROLLING;
    f.view.workers = 4;
    assert_string_equal(converge(&f), "promote 2, start 3");
    all_ready(&f);
    assert_string_equal(converge(&f), "drain 0");
    all_gone(&f);
    assert_string_equal(converge(&f), "start 0");
}

static void test_shutdown_tells_all(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 3);
    f.slots[0].successor.presence = ROLLOUT_STARTING;
    f.slots[1].current.presence = ROLLOUT_STARTING;
    f.view.workers = 0;
    assert_string_equal(converge(&f), "stop successor 0, stop 1, drain 0, drain 2");
}

static void test_a_surplus_worker_stands_in(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 3);
    f.slots[0] = (struct rollout_slot){.backoff = true};
    f.view.workers = 1;
    assert_string_equal(converge(&f), "drain 1");
    f.slots[0].current.presence = ROLLOUT_READY;
    assert_string_equal(converge(&f), "drain 2");
}

static void test_more_actions_than_fit(void **state UNUSED)
{
    struct fixture f;
    struct rollout_action actions[ROLLOUT_ACTIONS_MAX];
    set_up(&f, SLOTS);
    f.view.canary = false;
    f.view.max_unavailable = SLOTS;
    f.view.phase = ROLLOUT_ROLLING;
    for (unsigned told = 0; told < SLOTS;) {
        size_t n = rollout_next(&f.view, actions);
        assert_int_equal(n, MIN((size_t)ROLLOUT_ACTIONS_MAX, (size_t)SLOTS - told));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(actions[i].type, ROLLOUT_DRAIN_CURRENT);
            assert_int_equal(actions[i].slot, told++);
            perform(&f, &actions[i]);
        }
    }
    assert_int_equal(rollout_next(&f.view, actions), 0);
}

/* What did not fit must not be counted as done. */
static void test_counts_only_what_fits(void **state UNUSED)
{
    struct fixture f;
    struct rollout_action actions[ROLLOUT_ACTIONS_MAX];
    set_up(&f, SLOTS);
    f.view.order = ROLLOUT_READY_FIRST;
    f.view.phase = ROLLOUT_ROLLING;
    f.view.max_surge = ROLLOUT_ACTIONS_MAX + 2;
    assert_int_equal(rollout_next(&f.view, actions), ROLLOUT_ACTIONS_MAX);
    for (size_t i = 0; i < ROLLOUT_ACTIONS_MAX; i++)
        perform(&f, &actions[i]);
    assert_int_equal(rollout_next(&f.view, actions), 2);
}

/* Reloads that come faster than their successors end: the next one waits, the workers themselves do not. */
static void test_a_crowd_gets_no_successors(void **state UNUSED)
{
    struct fixture f;
    set_up(&f, 2);
    f.view.phase = ROLLOUT_CANARY;
    f.view.crowded = true;
    f.slots[1].current.presence = ROLLOUT_NONE;
    assert_string_equal(converge(&f), "start 1");
    f.view.crowded = false;
    assert_string_equal(converge(&f), "successor 1");

    set_up(&f, 2);
    f.view.phase = ROLLOUT_ROLLING;
    f.view.order = ROLLOUT_READY_FIRST;
    f.view.crowded = true;
    assert_string_equal(converge(&f), "");
    f.view.crowded = false;
    assert_string_equal(converge(&f), "successor 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boot_starts_all),
        cmocka_unit_test(test_one_worker_is_replaced_before_it_drains),
        cmocka_unit_test(test_default_with_four),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_ready_first_within_surge),
        cmocka_unit_test(test_a_failed_canary_touches_nobody),
        cmocka_unit_test(test_the_canary_goes_where_nobody_is_ready),
        cmocka_unit_test(test_moved_slots_return),
        cmocka_unit_test(test_availability_comes_before_drain_first),
        cmocka_unit_test(test_fewer_workers_and_a_new_generation),
        cmocka_unit_test(test_more_workers_and_a_new_generation),
        cmocka_unit_test(test_shutdown_tells_all),
        cmocka_unit_test(test_a_surplus_worker_stands_in),
        cmocka_unit_test(test_more_actions_than_fit),
        cmocka_unit_test(test_counts_only_what_fits),
        cmocka_unit_test(test_a_crowd_gets_no_successors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
