/*
 * test-reload-request.c - which reloads have to bring up a program that was FATAL before.
 */
#include "base/macros.h"
#include "master/reload.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct config_program web = {.name = (char *)"web"};
static const struct config_program_change kept = {.fate = CONFIG_KEPT, .from = &web, .to = &web},
                                          changed = {.fate = CONFIG_CHANGED,
                                                     .from = &web,
                                                     .to = &web,
                                                     .rolls = true},
                                          removed = {.fate = CONFIG_REMOVED, .from = &web};

static char *only_web[] = {(char *)"web", NULL}, *others[] = {(char *)"api", (char *)"db", NULL},
            *both[] = {(char *)"api", (char *)"web", NULL};

struct expectation {
    struct reload_request request;
    bool may;
};

/* Where its configuration stays. */
static const struct expectation expectations[] = {
    {{.kind = RELOAD_READ, .all = true}, true},
    {{.kind = RELOAD_CURRENT, .all = true}, true},
    {{.kind = RELOAD_UNDO, .all = true}, true},
    {{.kind = RELOAD_READ, .changed_only = true}, true},
    {{.kind = RELOAD_READ, .programs = others}, true},
    {{.kind = RELOAD_READ, .programs = only_web}, false},
    {{.kind = RELOAD_READ, .programs = both}, false},
    {{.kind = RELOAD_READ, .changed_only = true, .programs = both}, false},
    {{.kind = RELOAD_CURRENT, .programs = both}, false},
    /* Somebody else asked for all at the same time. */
    {{.kind = RELOAD_READ, .all = true, .programs = only_web}, true},
    /* It was not their operator who named them. */
    {{.kind = RELOAD_READ, .programs = both, .cause.path = (char *)"/srv/api"}, true},
    {{.kind = RELOAD_READ, .programs = only_web, .cause.path = (char *)"/srv/web"}, false},
    {{.kind = RELOAD_RESTART, .programs = both}, true},
    {{.kind = RELOAD_RESTART, .programs = only_web}, false},
};

static void test_every_kind(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(expectations); i++)
        if (reload_may_leave_fatal(&expectations[i].request, &kept) != expectations[i].may)
            fail_msg("expectation %zu: not %d", i, expectations[i].may);
}

static void test_what_was_changed_has_to_work(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(expectations); i++)
        assert_false(reload_may_leave_fatal(&expectations[i].request, &changed));
}

static void test_what_goes_need_not(void **state UNUSED)
{
    const struct reload_request request = {.kind = RELOAD_READ, .programs = others};
    assert_true(reload_may_leave_fatal(&request, &removed));
    assert_true(reload_may_leave_fatal(&request, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_what_was_changed_has_to_work),
        cmocka_unit_test(test_what_goes_need_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
