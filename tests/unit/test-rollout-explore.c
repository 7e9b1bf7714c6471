/*
 * test-rollout-explore.c - every reachable state of a rollout, and what must hold in it.
 *
 * All interleavings of the model's events are explored depth-first, for up to 4 slots and every valid combination of options.
 * Events that cost something out of a budget (troubles, reloads) bound the paths; the others only bring the world forward. So the
 * graph of states must have no circle ("it ends"), and a state in which nothing is on its way must be the goal ("no slot is
 * left without a next step"). Shutdown and scaling are tried in every single state.
 *
 * ROLLOUT_EXPLORE=quick spends a second, =full some minutes. An argument names the one test to run: each has its meson test.
 */
#include "base/macros.h"
#include "rollout-model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DEPTH_MAX 200

/* An open-addressed hash of packed worlds; `longest` is the longest way from there to an end, or ON_THE_WAY. */
struct seen {
    uint64_t *keys; /* never 0: see model_pack() */
    uint16_t *longest;
    size_t size, used;
};
#define ON_THE_WAY UINT16_MAX

static struct {
    struct seen seen;
    struct {
        struct world world;
        struct event event;
    } path[DEPTH_MAX];
    unsigned depth;
    unsigned long states, steps, scenarios;
    unsigned longest;
} run;

void model_violated(const struct world *world, const char *why)
{
    model_print_scenario(world->scenario);
    for (unsigned i = 0; i < run.depth; i++) {
        model_print(&run.path[i].world);
        model_print_event(&run.path[i].event);
    }
    print_error("  now:\n");
    model_print(world);
    fail_msg("%s", why);
    abort();
}

static size_t find(const struct seen *seen, uint64_t key)
{
    size_t i = (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (seen->size - 1);
    while (seen->keys[i] != 0 && seen->keys[i] != key)
        i = (i + 1) & (seen->size - 1);
    return i;
}

static void make_seen(struct seen *seen, size_t size)
{
    *seen = (struct seen){.size = size};
    seen->keys = calloc(size, sizeof(*seen->keys));
    seen->longest = calloc(size, sizeof(*seen->longest));
    assert_non_null(seen->keys);
    assert_non_null(seen->longest);
}

static void drop_seen(struct seen *seen)
{
    free(seen->keys);
    free(seen->longest);
}

static void grow_seen(struct seen *seen)
{
    struct seen larger;
    make_seen(&larger, seen->size * 4);
    for (size_t i = 0; i < seen->size; i++)
        if (seen->keys[i] != 0) {
            size_t to = find(&larger, seen->keys[i]);
            larger.keys[to] = seen->keys[i];
            larger.longest[to] = seen->longest[i];
        }
    larger.used = seen->used;
    drop_seen(seen);
    *seen = larger;
}

static unsigned explore(const struct world *world);

static unsigned explore_event(const struct world *world, const struct event *event, bool pairs);

/* Everything that may happen now; the longest way to an end behind it. */
static unsigned explore_events(const struct world *world, bool pairs, bool *ret_forward)
{
    unsigned longest = 0;
    for (unsigned i = 0; i < SLOTS_MAX * 2; i++)
        for (enum event_type type = EVENT_READY; type <= EVENT_RELOAD; type++) {
            struct event event = {.type = type, .slot = i / 2, .successor = i % 2};
            if (!model_allows(world, &event))
                continue;
            unsigned steps = explore_event(world, &event, pairs);
            longest = MAX(longest, steps);
            *ret_forward = *ret_forward || model_is_forward(type);
        }
    return longest;
}

static unsigned explore_event(const struct world *world, const struct event *event, bool pairs)
{
    if (run.depth == DEPTH_MAX)
        model_violated(world, "a path without end");
    run.path[run.depth].world = *world;
    run.path[run.depth++].event = *event;
    run.steps++;

    struct world next = *world;
    model_happen(&next, event);
    struct world converged = next;
    model_converge(&converged);
    unsigned longest = explore(&converged) + 1;
    if (pairs) {
        bool forward = false;
        unsigned steps = explore_events(&next, false, &forward);
        longest = MAX(longest, steps);
    }
    run.depth--;
    return longest;
}

static unsigned explore(const struct world *world)
{
    uint64_t key = model_pack(world);
    if (++run.seen.used * 2 > run.seen.size)
        grow_seen(&run.seen);
    size_t i = find(&run.seen, key);
    if (run.seen.keys[i] == key) {
        run.seen.used--;
        if (run.seen.longest[i] == ON_THE_WAY)
            model_violated(world, "a circle: this state was on the path already");
        return run.seen.longest[i];
    }
    run.seen.keys[i] = key;
    run.seen.longest[i] = ON_THE_WAY;
    run.states++;

    model_check_shutdown(world);
    model_check_scaling(world);
    bool forward = false;
    unsigned longest = explore_events(world, world->scenario->pairs, &forward);
    if (!forward)
        model_check_goal(world);
    run.seen.longest[find(&run.seen, key)] = (uint16_t)longest;
    return longest;
}

static void explore_scenario(const struct scenario *scenario)
{
    run.depth = 0;
    struct world world = model_begin(scenario);
    make_seen(&run.seen, 1024);
    unsigned longest = explore(&world);
    drop_seen(&run.seen);
    run.longest = MAX(run.longest, longest);
    run.scenarios++;
}

/* Everything that the configuration lets through: see rollout.h. */
static bool is_valid(const struct recipe *recipe)
{
    if ((recipe->canary || recipe->order == ROLLOUT_READY_FIRST) && recipe->max_surge == 0)
        return false;
    return recipe->order == ROLLOUT_READY_FIRST || recipe->max_unavailable > 0;
}

/* With these options for all generations or, `mixed`, the opposite ones for the last. */
static void explore_options(struct scenario *scenario, const struct recipe *options, bool mixed)
{
    for (unsigned i = 0; i < GENERATIONS_MAX; i++) {
        unsigned workers = scenario->recipes[i].workers;
        scenario->recipes[i] = *options;
        scenario->recipes[i].workers = workers;
    }
    if (mixed) {
        struct recipe *last = &scenario->recipes[scenario->n_reloads];
        last->order = options->order == ROLLOUT_DRAIN_FIRST ? ROLLOUT_READY_FIRST
                                                            : ROLLOUT_DRAIN_FIRST;
        last->canary = !options->canary;
        last->max_unavailable = last->max_surge = 1;
    }
    explore_scenario(scenario);
}

static void explore_all_options(struct scenario *scenario, bool mixed)
{
    unsigned most = MAX(scenario->recipes[0].workers, scenario->recipes[1].workers);
    for (unsigned bits = 0; bits < 4; bits++)
        for (unsigned unavailable = 0; unavailable <= most; unavailable++)
            for (unsigned surge = 0; surge <= most; surge++) {
                struct recipe options = {
                    .order = bits & 1 ? ROLLOUT_READY_FIRST : ROLLOUT_DRAIN_FIRST,
                    .canary = bits & 2,
                    .max_unavailable = unavailable,
                    .max_surge = surge,
                };
                if (is_valid(&options))
                    explore_options(scenario, &options, mixed);
            }
}

/* MIXED: the last generation has the opposite options. ADDED: nothing runs in the beginning. The others: see struct scenario. */
enum flag {
    MIXED = 1 << 0,
    BOOT = 1 << 1,
    PAIRS = 1 << 2,
    QUEUES = 1 << 3,
    LEAVES = 1 << 4,
    ADDED = 1 << 5,
    ENDS = 1 << 6,
    WEARS = 1 << 7,
};

enum effort { QUICK, NORMAL, FULL };

static enum effort effort_wanted(void)
{
    const char *wanted = getenv("ROLLOUT_EXPLORE");
    if (wanted && strcmp(wanted, "quick") == 0)
        return QUICK;
    return wanted && strcmp(wanted, "full") == 0 ? FULL : NORMAL;
}

/* Workers of the running generation, of the first reload's and of the second's: from `least` to `most`, 1 to `most`, `last`. */
struct extent {
    enum effort effort;
    unsigned least, most, last;
    unsigned n_reloads, n_troubles;
    unsigned flags;
};

static void explore_extent(const struct extent *extent)
{
    unsigned least = extent->flags & ADDED ? 0 : extent->least,
             most = extent->flags & ADDED ? 0 : extent->most;
    for (unsigned from = least; from <= most; from++)
        for (unsigned to = 1; to <= extent->most; to++) {
            struct scenario scenario = {
                .recipes = {{.workers = from}, {.workers = to}, {.workers = extent->last}},
                .n_reloads = extent->n_reloads,
                .n_troubles = extent->n_troubles,
                .boot = extent->flags & BOOT,
                .pairs = extent->flags & PAIRS,
                .queues = extent->flags & QUEUES,
                .leaves = extent->flags & LEAVES,
                .ends = extent->flags & ENDS,
                .wears = extent->flags & WEARS,
            };
            explore_all_options(&scenario, extent->flags & MIXED);
        }
}

static void explore_extents(const struct extent *extents, size_t n)
{
    memset(&run, 0, sizeof(run));
    for (size_t i = 0; i < n; i++)
        if (extents[i].effort <= effort_wanted())
            explore_extent(&extents[i]);
    print_message("# %lu states, %lu steps, %lu combinations, at most %u steps to the end\n",
                  run.states, run.steps, run.scenarios, run.longest);
    assert_true(run.states > 0);
}

static void test_boot(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 1, 4, 1, 0, 2, BOOT},
        {QUICK, 1, 3, 1, 1, 1, BOOT},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

static void test_one_reload(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 1, 3, 1, 1, 2, 0},  {QUICK, 1, 2, 1, 1, 2, PAIRS}, {NORMAL, 3, 3, 1, 1, 1, PAIRS},
        {NORMAL, 1, 2, 1, 1, 3, 0}, {NORMAL, 4, 4, 1, 1, 2, 0},    {FULL, 1, 4, 1, 1, 3, 0},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

static void test_a_newer_reload_supersedes(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 1, 2, 2, 2, 2, 0},      {QUICK, 1, 2, 1, 2, 1, MIXED},
        {QUICK, 1, 2, 2, 2, 1, PAIRS},  {NORMAL, 1, 2, 1, 2, 2, PAIRS},
        {NORMAL, 1, 3, 1, 2, 2, 0},     {NORMAL, 1, 3, 3, 2, 1, 0},
        {NORMAL, 1, 3, 2, 2, 1, MIXED}, {NORMAL, 4, 4, 2, 2, 0, 0},
        {NORMAL, 4, 4, 4, 2, 0, MIXED}, {FULL, 1, 4, 1, 2, 2, 0},
        {FULL, 1, 4, 2, 2, 2, MIXED},   {FULL, 1, 4, 3, 2, 2, 0},
        {FULL, 1, 4, 4, 2, 2, MIXED},   {FULL, 1, 3, 2, 2, 3, 0},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

static void test_clients_wait_at_surplus_slots(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 1, 3, 1, 1, 1, QUEUES},          {QUICK, 1, 2, 2, 2, 1, QUEUES},
        {NORMAL, 1, 3, 1, 1, 2, QUEUES},         {NORMAL, 4, 4, 1, 1, 1, QUEUES},
        {NORMAL, 1, 3, 1, 2, 1, QUEUES},         {NORMAL, 1, 2, 1, 2, 1, QUEUES | MIXED},
        {NORMAL, 1, 2, 1, 1, 2, QUEUES | PAIRS}, {FULL, 1, 4, 1, 2, 2, QUEUES},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

/* Its committed generation wants no workers: what fails, and what is superseded, leaves none. */
static void test_a_program_is_added(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 0, 4, 1, 1, 2, ADDED},           {QUICK, 0, 2, 1, 1, 2, ADDED | PAIRS},
        {QUICK, 0, 2, 2, 2, 1, ADDED},           {QUICK, 0, 2, 1, 2, 1, ADDED | MIXED},
        {QUICK, 0, 3, 1, 1, 2, ADDED | QUEUES},  {QUICK, 0, 2, 2, 2, 1, ADDED | LEAVES},
        {NORMAL, 0, 3, 2, 2, 2, ADDED},          {NORMAL, 0, 3, 3, 2, 2, ADDED | MIXED},
        {NORMAL, 0, 3, 1, 1, 3, ADDED},          {NORMAL, 0, 3, 1, 1, 2, ADDED | PAIRS},
        {NORMAL, 0, 3, 1, 2, 1, ADDED | QUEUES}, {FULL, 0, 4, 2, 2, 3, ADDED},
        {FULL, 0, 4, 4, 2, 2, ADDED | MIXED},    {FULL, 0, 4, 1, 1, 3, ADDED},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

static void test_sockets_that_nobody_takes_over(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 1, 3, 1, 1, 1, LEAVES},           {QUICK, 1, 2, 2, 2, 1, LEAVES},
        {NORMAL, 1, 3, 1, 1, 2, LEAVES},          {NORMAL, 4, 4, 1, 1, 1, LEAVES},
        {NORMAL, 1, 3, 1, 1, 1, LEAVES | QUEUES}, {NORMAL, 1, 2, 1, 2, 1, LEAVES | MIXED},
        {NORMAL, 1, 2, 1, 1, 2, LEAVES | PAIRS},  {FULL, 1, 4, 1, 2, 2, LEAVES | QUEUES},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

static void test_slots_that_are_over(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 1, 3, 1, 1, 1, ENDS},          {QUICK, 1, 2, 1, 1, 2, ENDS | BOOT},
        {QUICK, 1, 2, 2, 2, 1, ENDS},          {NORMAL, 1, 3, 1, 1, 2, ENDS},
        {NORMAL, 4, 4, 1, 1, 1, ENDS},         {NORMAL, 1, 2, 1, 2, 2, ENDS | MIXED},
        {NORMAL, 1, 2, 1, 1, 2, ENDS | PAIRS}, {NORMAL, 1, 3, 1, 1, 1, ENDS | QUEUES},
        {FULL, 1, 4, 1, 2, 2, ENDS},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

static void test_workers_that_are_worn(void **state UNUSED)
{
    static const struct extent extents[] = {
        {QUICK, 1, 3, 1, 0, 3, WEARS},          {QUICK, 1, 2, 1, 1, 2, WEARS},
        {QUICK, 1, 2, 2, 1, 2, WEARS},          {NORMAL, 1, 3, 1, 1, 2, WEARS},
        {NORMAL, 4, 4, 1, 0, 3, WEARS},         {NORMAL, 1, 2, 1, 2, 2, WEARS | MIXED},
        {NORMAL, 1, 2, 1, 1, 2, WEARS | PAIRS}, {NORMAL, 1, 2, 1, 0, 3, WEARS | ENDS},
        {FULL, 1, 4, 1, 2, 2, WEARS},
    };
    explore_extents(extents, ARRAY_SIZE(extents));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boot),
        cmocka_unit_test(test_one_reload),
        cmocka_unit_test(test_a_newer_reload_supersedes),
        cmocka_unit_test(test_clients_wait_at_surplus_slots),
        cmocka_unit_test(test_a_program_is_added),
        cmocka_unit_test(test_sockets_that_nobody_takes_over),
        cmocka_unit_test(test_slots_that_are_over),
        cmocka_unit_test(test_workers_that_are_worn),
    };
    if (argc > 1) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
            known |= strcmp(tests[i].name, argv[1]) == 0;
        if (!known)
            return 2;
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
