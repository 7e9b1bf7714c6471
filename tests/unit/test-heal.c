#include "program/heal.h"
#include "worker/health.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SLOTS_MAX 4

/* "FIX-": fine, ill, ill and failed, absent, under way, nobody. "2" and so on: ill, tried at that time. */
static enum heal_act decide(const char *text, unsigned max_unavailable, bool beside,
                            size_t *ret_slot)
{
    static const char letters[] = {[HEAL_FINE] = 'f',
                                   [HEAL_ABSENT] = 'a',
                                   [HEAL_ILL] = 'i',
                                   [HEAL_UNDER_WAY] = 'u',
                                   [HEAL_NOBODY] = '-'};
    struct heal_slot slots[SLOTS_MAX] = {0};
    size_t n = strlen(text);
    assert_true(n <= SLOTS_MAX);
    for (size_t i = 0; i < n; i++) {
        slots[i].standing = HEAL_ILL;
        slots[i].failed = text[i] == 'I';
        slots[i].tried_usec = text[i] >= '0' && text[i] <= '9' ? (uint64_t)(text[i] - '0') : 0;
        for (size_t k = 0; k < sizeof(letters); k++)
            if (letters[k] == text[i])
                slots[i].standing = (enum heal_standing)k;
    }
    const struct heal_view view = {
        .slots = slots, .n_slots = n, .max_unavailable = max_unavailable, .beside = beside};
    *ret_slot = SLOTS_MAX;
    return heal_next(&view, ret_slot);
}

static void expect(const char *text, unsigned max_unavailable, bool beside, enum heal_act act,
                   size_t slot)
{
    size_t found;
    enum heal_act decided = decide(text, max_unavailable, beside, &found);
    if (decided != act || (act != HEAL_NOTHING && found != slot))
        print_error("%s: act %d in slot %zu\n", text, (int)decided, found);
    assert_int_equal(decided, act);
    if (act != HEAL_NOTHING)
        assert_int_equal(found, slot);
}

static void test_beside(void **state UNUSED)
{
    expect("", 1, true, HEAL_NOTHING, 0);
    expect("f-a", 1, true, HEAL_NOTHING, 0);
    expect("i", 1, true, HEAL_BESIDE, 0);
    expect("ffif", 1, true, HEAL_BESIDE, 2);
    /* Nobody is lost by it, so who is missing does not count; who is at it does. */
    expect("aaif", 1, true, HEAL_BESIDE, 2);
    expect("ufif", 1, true, HEAL_NOTHING, 0);
    expect("ufif", 2, true, HEAL_BESIDE, 2);
    expect("ffif", 0, true, HEAL_BESIDE, 2);
}

static void test_told_first(void **state UNUSED)
{
    expect("i", 1, false, HEAL_TELL_FIRST, 0);
    expect("i", 0, false, HEAL_TELL_FIRST, 0);
    expect("iiii", 1, false, HEAL_TELL_FIRST, 0);
    expect("uiii", 1, false, HEAL_NOTHING, 0);
    expect("aiff", 1, false, HEAL_NOTHING, 0);
    expect("aiff", 2, false, HEAL_TELL_FIRST, 1);
    expect("auif", 2, false, HEAL_NOTHING, 0);
    expect("-i", 1, false, HEAL_TELL_FIRST, 1);
}

static void test_a_successor_that_failed(void **state UNUSED)
{
    /* Others are well: it is not what all need. */
    expect("ffIf", 1, true, HEAL_TELL_FIRST, 2);
    expect("afIf", 1, true, HEAL_NOTHING, 0);
    /* It may be. */
    expect("I", 1, true, HEAL_BESIDE, 0);
    expect("Iiii", 1, true, HEAL_BESIDE, 0);
    expect("Iiff", 1, true, HEAL_BESIDE, 0);
    expect("Iiff", 2, true, HEAL_TELL_FIRST, 0);
}

static void test_who_waited_longest(void **state UNUSED)
{
    expect("321", 1, true, HEAL_BESIDE, 2);
    expect("32i", 1, true, HEAL_BESIDE, 2);
    expect("222", 1, true, HEAL_BESIDE, 0);
}

/* In every state of 4 slots: never more than may be, and nobody is told first who is the last that is well. */
static void test_limits(void **state UNUSED)
{
    static const char kinds[] = "fiIau-";
    char text[SLOTS_MAX + 1] = {0};
    for (unsigned n = 0; n < 6 * 6 * 6 * 6 * 4 * 2; n++) {
        unsigned rest = n, limit, gone = 0, busy = 0;
        for (size_t i = 0; i < SLOTS_MAX; i++, rest /= 6) {
            text[i] = kinds[rest % 6];
            gone += text[i] == 'a' || text[i] == 'u';
            busy += text[i] == 'u';
        }
        unsigned max_unavailable = rest % 4;
        limit = max_unavailable > 0 ? max_unavailable : 1;
        size_t slot;
        enum heal_act act = decide(text, max_unavailable, rest / 4, &slot);
        if (act == HEAL_TELL_FIRST)
            assert_true(gone < limit);
        if (act != HEAL_NOTHING) {
            assert_true(busy < limit);
            assert_true(text[slot] == 'i' || text[slot] == 'I');
        }
        /* With others out of the way somebody is always helped. */
        if (strpbrk(text, "iI") && gone == 0)
            assert_true(act != HEAL_NOTHING);
    }
}

static void test_pause(void **state UNUSED)
{
    assert_int_equal(heal_pause(0, 1), USEC_PER_SEC);
    assert_int_equal(heal_pause(10 * USEC_PER_SEC, 1), 10 * USEC_PER_SEC);
    assert_int_equal(heal_pause(10 * USEC_PER_SEC, 2), 20 * USEC_PER_SEC);
    assert_int_equal(heal_pause(10 * USEC_PER_SEC, 3), 40 * USEC_PER_SEC);
    assert_int_equal(heal_pause(10 * USEC_PER_SEC, 1000000), 300 * USEC_PER_SEC);
    assert_int_equal(heal_pause(7 * 86400 * USEC_PER_SEC, 2), 300 * USEC_PER_SEC);
}

static void test_join(void **state UNUSED)
{
    static const enum health all[] = {HEALTH_UNKNOWN, HEALTH_GOOD, HEALTH_BAD};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        assert_int_equal(health_join(all[i], HEALTH_BAD), HEALTH_BAD);
        assert_int_equal(health_join(HEALTH_BAD, all[i]), HEALTH_BAD);
        assert_int_equal(health_join(all[i], HEALTH_GOOD), all[i]);
        assert_int_equal(health_join(HEALTH_GOOD, all[i]), all[i]);
    }
    assert_int_equal(health_join(HEALTH_UNKNOWN, HEALTH_UNKNOWN), HEALTH_UNKNOWN);
}

static void test_failures(void **state UNUSED)
{
    assert_int_equal(health_of_failures(HEALTH_UNKNOWN, 2, 3), HEALTH_UNKNOWN);
    assert_int_equal(health_of_failures(HEALTH_GOOD, 2, 3), HEALTH_GOOD);
    assert_int_equal(health_of_failures(HEALTH_GOOD, 3, 3), HEALTH_BAD);
    assert_int_equal(health_of_failures(HEALTH_BAD, 4, 3), HEALTH_BAD);
    assert_int_equal(health_of_failures(HEALTH_GOOD, 1, 1), HEALTH_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_told_first),
        cmocka_unit_test(test_a_successor_that_failed),
        cmocka_unit_test(test_who_waited_longest),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
