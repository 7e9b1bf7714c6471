/* rollout-model.c - see rollout-model.h. What a real shell would do, and what it may rely on. */
#include "rollout-model.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROUNDS_MAX 32 /* calls until rollout_next() must have returned none */

static const char *const event_names[] = {
    [EVENT_READY] = "ready",
    [EVENT_GONE] = "gone",
    [EVENT_BACKOFF_ENDS] = "backoff ends",
    [EVENT_PROVEN] = "canary proven",
    [EVENT_SETTLES] = "settles",
    [EVENT_START_FAILS] = "start fails",
    [EVENT_START_FAILS_FOR_GOOD] = "start fails for good",
    [EVENT_CRASH] = "crash",
    [EVENT_CRASH_AND_BACKOFF] = "crash, backoff",
    [EVENT_WEARS] = "is worn",
    [EVENT_ENDS] = "has done its work",
    [EVENT_HELD] = "is held",
    [EVENT_DRAINS_ITSELF] = "drains itself",
    [EVENT_RELOAD] = "reload",
};

static const struct recipe *recipe_in_force(const struct world *world)
{
    return &world->scenario
                ->recipes[world->phase == ROLLOUT_IDLE ? world->committed : world->target];
}

static unsigned wanted_workers(const struct world *world)
{
    if (world->stopping)
        return 0;
    if (world->scaled > 0)
        return world->scaled;
    return world->scenario
        ->recipes[world->phase == ROLLOUT_ROLLING ? world->target : world->committed]
        .workers;
}

static unsigned floor_of(const struct recipe *recipe, unsigned workers)
{
    unsigned kept = workers > recipe->max_unavailable ? workers - recipe->max_unavailable : 0;
    return recipe->canary && kept == 0 && workers > 0 ? 1 : kept;
}

static enum rollout_generation filling_generation(const struct world *world)
{
    return world->phase == ROLLOUT_ROLLING ? ROLLOUT_TARGET : ROLLOUT_COMMITTED;
}

static bool has(unsigned bits, unsigned slot)
{
    return bits & 1U << slot;
}

static bool is_over(const struct world *world, unsigned slot)
{
    return has(world->over | world->held, slot);
}

/* Wanted workers, without those of slots that are over. */
static unsigned count_expected(const struct world *world, unsigned wanted)
{
    unsigned n = wanted;
    for (unsigned i = 0; i < wanted; i++)
        n -= is_over(world, i) && world->slots[i].current.presence == ROLLOUT_NONE;
    return n;
}

static unsigned count_ready(const struct world *world, unsigned below)
{
    unsigned n = 0;
    for (unsigned i = 0; i < below; i++) {
        n += world->slots[i].current.presence == ROLLOUT_READY;
        n += world->slots[i].successor.presence == ROLLOUT_READY;
    }
    return n;
}

static bool is_surplus(const struct world *world, unsigned slot)
{
    return world->scenario->queues && !world->stopping && slot >= wanted_workers(world) &&
           world->slots[slot].current.presence == ROLLOUT_READY;
}

/* Will its socket be nobody's when it is told? */
static bool leaves_a_socket(const struct world *world, unsigned slot)
{
    const struct rollout_place *current = &world->slots[slot].current;
    bool rolling = world->phase == ROLLOUT_ROLLING || world->phase == ROLLOUT_ROLLING_BACK;
    return world->scenario->leaves && !world->stopping && rolling && slot > 0 &&
           slot < wanted_workers(world) && current->presence == ROLLOUT_READY &&
           current->generation != filling_generation(world);
}

static bool is_unsettled(const struct world *world, unsigned slot)
{
    return leaves_a_socket(world, slot) && !has(world->settling | world->settled, slot);
}

static bool is_busy(const struct world *world, unsigned slot)
{
    return !has(world->settled, slot) &&
           (is_surplus(world, slot) ||
            (leaves_a_socket(world, slot) && has(world->settling, slot)));
}

/* Those that clients are still sent to. */
static unsigned count_serving(const struct world *world, unsigned below)
{
    unsigned n = count_ready(world, below);
    for (unsigned i = 0; i < below; i++)
        n -= is_busy(world, i);
    return n;
}

/* Whoever is wanted again, or gone, begins anew when he is surplus the next time. */
static void forget_settled(struct world *world)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        if (world->slots[i].current.presence == ROLLOUT_NONE)
            world->worn &= ~(1U << i);
        if (!is_surplus(world, i) && !leaves_a_socket(world, i)) {
            world->settled &= ~(1U << i);
            world->settling &= ~(1U << i);
        }
    }
}

static void print_place(const char *name, const struct rollout_place *place)
{
    static const char *const presences[] = {"-", "starting", "ready"};
    static const char *const generations[] = {"committed", "target", "other"};
    print_error(" %s %s", name, presences[place->presence]);
    if (place->presence != ROLLOUT_NONE)
        print_error(" %s", generations[place->generation]);
}

void model_print(const struct world *world)
{
    static const char *const phases[] = {"idle", "canary", "rolling", "rolling back"};
    print_error("    %s%s, %u wanted\n", phases[world->phase], world->failed ? ", failed" : "",
                wanted_workers(world));
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct rollout_slot *slot = &world->slots[i];
        print_error("      %u:", i);
        print_place("current", &slot->current);
        print_place("successor", &slot->successor);
        print_error(" leaving %u%s\n", slot->leaving, slot->backoff ? " backoff" : "");
    }
}

void model_print_event(const struct event *event)
{
    print_error("  -> slot %u%s: %s\n", event->slot, event->successor ? " successor" : "",
                event_names[event->type]);
}

void model_print_scenario(const struct scenario *scenario)
{
    for (unsigned i = 0; i <= scenario->n_reloads; i++) {
        const struct recipe *recipe = &scenario->recipes[i];
        print_error(
            "  generation %u: %s, canary %d, max_unavailable %u, max_surge %u, workers %u\n", i,
            recipe->order == ROLLOUT_DRAIN_FIRST ? "drain-first" : "ready-first", recipe->canary,
            recipe->max_unavailable, recipe->max_surge, recipe->workers);
    }
}

static void check(bool condition, const struct world *world, const char *why)
{
    if (!condition)
        model_violated(world, why);
}

/* --- the shell: performing actions --- */

static bool all_ready(const struct world *world, enum rollout_generation generation)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct rollout_slot *slot = &world->slots[i];
        if (slot->successor.presence != ROLLOUT_NONE)
            return false;
        if (is_over(world, i) && slot->current.presence == ROLLOUT_NONE)
            continue;
        if (i >= wanted_workers(world) || has(world->held, i)
                ? slot->current.presence != ROLLOUT_NONE
                : slot->current.presence != ROLLOUT_READY || slot->current.generation != generation)
            return false;
    }
    return true;
}

static void rename_generation(struct world *world, enum rollout_generation from,
                              enum rollout_generation to)
{
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        struct rollout_slot *slot = &world->slots[i];
        if (slot->current.generation == from)
            slot->current.generation = to;
        if (slot->successor.generation == from)
            slot->successor.generation = to;
    }
}

/* A row of failures ends with the generation, so its backoff does too. */
static void enter_phase(struct world *world, enum rollout_phase phase)
{
    bool same_generation = (world->phase == ROLLOUT_ROLLING) == (phase == ROLLOUT_ROLLING);
    world->phase = phase;
    world->failed = false;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        world->slots[i].backoff = world->slots[i].backoff && same_generation;
    if (!same_generation)
        world->over = 0;
}

static void forget_reload(struct world *world)
{
    const struct recipe *recipe = &world->scenario->recipes[world->committed];
    world->lowest = floor_of(recipe, recipe->workers);
    world->highest = recipe->workers;
}

static void begin_reload(struct world *world)
{
    rename_generation(world, ROLLOUT_TARGET, ROLLOUT_OTHER);
    world->target++;
    const struct recipe *recipe = &world->scenario->recipes[world->target];
    unsigned committed_workers = world->scenario->recipes[world->committed].workers;
    enter_phase(world, recipe->canary ? ROLLOUT_CANARY : ROLLOUT_ROLLING);
    if (world->phase == ROLLOUT_ROLLING)
        for (unsigned i = 0; i < SLOTS_MAX; i++)
            world->slots[i].backoff = false;
    world->lowest = MIN(world->lowest, floor_of(recipe, recipe->workers));
    world->lowest = MIN(world->lowest, floor_of(recipe, committed_workers));
    world->highest = MAX(world->highest, recipe->workers);
}

/* Of sockets of their own only those have clients that somebody serves already; where nobody does, any will do. */
static unsigned count_canary_slots(const struct world *world)
{
    unsigned workers = recipe_in_force(world)->workers, wanted = wanted_workers(world);
    return world->scenario->queues && wanted > 0 ? MIN(wanted, workers) : workers;
}

static unsigned first_not_held(const struct world *world)
{
    unsigned slot = 0;
    while (slot < SLOTS_MAX && has(world->held, slot))
        slot++;
    return slot;
}

static bool is_ready_or_held(const struct world *world, unsigned slot)
{
    return has(world->held, slot) || world->slots[slot].current.presence == ROLLOUT_READY;
}

static bool all_ready_or_held(const struct world *world, unsigned below)
{
    for (unsigned i = 0; i < below; i++)
        if (!is_ready_or_held(world, i))
            return false;
    return true;
}

static unsigned count_successors(const struct world *world)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        n += world->slots[i].successor.presence != ROLLOUT_NONE;
    return n;
}

static void perform_start(struct world *world, const struct rollout_action *action)
{
    struct rollout_slot *slot = &world->slots[action->slot];
    bool successor = action->type == ROLLOUT_START_SUCCESSOR;
    bool canary = world->phase == ROLLOUT_CANARY && successor;
    enum rollout_generation wished = world->phase == ROLLOUT_ROLLING || canary ? ROLLOUT_TARGET
                                                                               : ROLLOUT_COMMITTED;
    const struct recipe *recipe = recipe_in_force(world);
    struct rollout_place *place = successor ? &slot->successor : &slot->current;
    unsigned canary_slots = count_canary_slots(world), first = first_not_held(world);

    check(place->presence == ROLLOUT_NONE, world, "a start into a place that is taken");
    check(!successor || world->phase != ROLLOUT_IDLE ||
              (has(world->worn, action->slot) && count_successors(world) == 0),
          world, "a successor that nobody needs, or one too many at a time");
    check(action->generation == wished, world, "a start of the wrong generation");
    check(action->slot < (canary ? canary_slots : wanted_workers(world)), world,
          "a start in a surplus slot");
    check(canary || !slot->backoff, world, "a start in a backoff");
    check(!has(world->held, action->slot) && (canary || !is_over(world, action->slot)), world,
          "a start where nobody is wanted");
    check(successor || recipe->order == ROLLOUT_READY_FIRST || slot->leaving == 0 ||
              count_serving(world, wanted_workers(world)) <
                  floor_of(recipe, count_expected(world, wanted_workers(world))),
          world, "drain-first did not wait for the predecessor");
    check(!canary || slot->current.presence != ROLLOUT_READY ||
              (action->slot == first && all_ready_or_held(world, canary_slots)),
          world, "the canary does not help where help is needed");
    *place = (struct rollout_place){.presence = ROLLOUT_STARTING, .generation = action->generation};
}

/* Whoever takes over is ready, or there is no room for a successor. */
static bool may_renew(const struct world *world, const struct rollout_slot *slot)
{
    const struct recipe *recipe = recipe_in_force(world);
    unsigned wanted = wanted_workers(world);
    return slot->successor.presence == ROLLOUT_READY ||
           (recipe->max_surge == 0 &&
            count_ready(world, wanted) + 1 >= count_expected(world, wanted));
}

static void check_leave(const struct world *world, const struct rollout_action *action,
                        enum rollout_generation generation)
{
    const struct rollout_slot *slot = &world->slots[action->slot];
    unsigned wanted = wanted_workers(world);
    bool is_wanted = action->slot < wanted, drain = action->type == ROLLOUT_DRAIN_CURRENT;

    if (has(world->held, action->slot))
        return;
    if (action->type == ROLLOUT_DRAIN_CURRENT) {
        check(world->phase != ROLLOUT_CANARY, world, "drained before the canary was proven");
        check(!is_wanted || count_ready(world, wanted) >=
                                floor_of(recipe_in_force(world), count_expected(world, wanted)),
              world, "drained though too few others are ready");
    }
    if (action->type == ROLLOUT_DRAIN_CURRENT || action->type == ROLLOUT_STOP_CURRENT) {
        check(world->phase != ROLLOUT_IDLE || !is_wanted || has(world->worn, action->slot), world,
              "told without a reason");
        check(world->phase != ROLLOUT_IDLE || !is_wanted || !drain || may_renew(world, slot), world,
              "told though nobody takes over");
        check(world->phase != ROLLOUT_ROLLING_BACK || generation != ROLLOUT_COMMITTED, world,
              "an old worker was told though the new generation failed");
        check(world->phase != ROLLOUT_ROLLING || !is_wanted || generation != ROLLOUT_TARGET, world,
              "a new worker was told");
        return;
    }
    check(world->phase != ROLLOUT_CANARY || generation != ROLLOUT_TARGET, world,
          "the canary was told");
    check(action->type != ROLLOUT_DRAIN_SUCCESSOR || !is_wanted ||
              slot->current.presence == ROLLOUT_READY,
          world, "one that serves was told though nobody serves in its place");
    check(!is_wanted || slot->current.presence != ROLLOUT_NONE ||
              generation != filling_generation(world),
          world, "told though just this one is wanted");
}

static void perform_leave(struct world *world, const struct rollout_action *action)
{
    struct rollout_slot *slot = &world->slots[action->slot];
    bool successor = action->type == ROLLOUT_DRAIN_SUCCESSOR ||
                     action->type == ROLLOUT_STOP_SUCCESSOR;
    bool drain = action->type == ROLLOUT_DRAIN_CURRENT || action->type == ROLLOUT_DRAIN_SUCCESSOR;
    struct rollout_place *place = successor ? &slot->successor : &slot->current;
    enum rollout_generation generation = place->generation;
    bool was_busy = !successor && is_busy(world, action->slot);
    bool was_unsettled = !successor && is_unsettled(world, action->slot);

    check(place->presence == (drain ? ROLLOUT_READY : ROLLOUT_STARTING), world,
          "nobody there to be told so");
    *place = (struct rollout_place){0};
    slot->leaving++;
    check(slot->leaving < LEAVING_MAX, world, "too many leaving for the model");
    check(!was_busy, world, "told though clients wait at its socket");
    check(!was_unsettled, world, "told though clients are still sent to its socket");
    if (!world->stopping)
        check_leave(world, action, generation);
}

static void perform_settle(struct world *world, unsigned slot)
{
    unsigned wanted = wanted_workers(world);
    check(is_unsettled(world, slot), world, "nobody there who has to settle");
    check(count_serving(world, wanted) >
              floor_of(recipe_in_force(world), count_expected(world, wanted)),
          world, "clients are sent away though too few others serve");
    world->settling |= 1U << slot;
}

static void perform_verdict(struct world *world, enum rollout_action_type type)
{
    unsigned over;
    switch (type) {
    case ROLLOUT_FAIL:
        check(world->failed && (world->phase == ROLLOUT_CANARY || world->phase == ROLLOUT_ROLLING),
              world, "failed without a failure");
        enter_phase(world, ROLLOUT_ROLLING_BACK);
        break;
    case ROLLOUT_COMMIT:
        check(world->phase == ROLLOUT_ROLLING && all_ready(world, ROLLOUT_TARGET), world,
              "committed too early");
        rename_generation(world, ROLLOUT_TARGET, ROLLOUT_COMMITTED);
        world->committed = world->target;
        over = world->over;
        enter_phase(world, ROLLOUT_IDLE);
        world->over = over;
        forget_reload(world);
        break;
    case ROLLOUT_ROLLED_BACK:
        check(world->phase == ROLLOUT_ROLLING_BACK && all_ready(world, ROLLOUT_COMMITTED), world,
              "rolled back too early");
        enter_phase(world, ROLLOUT_IDLE);
        forget_reload(world);
        break;
    case ROLLOUT_DEGRADED:
        check(world->phase == ROLLOUT_ROLLING_BACK && world->failed, world,
              "degraded without a failure");
        rename_generation(world, ROLLOUT_TARGET, ROLLOUT_OTHER);
        enter_phase(world, ROLLOUT_IDLE);
        break;
    case ROLLOUT_START_CURRENT:
    case ROLLOUT_START_SUCCESSOR:
    case ROLLOUT_SETTLE_CURRENT:
    case ROLLOUT_DRAIN_CURRENT:
    case ROLLOUT_DRAIN_SUCCESSOR:
    case ROLLOUT_STOP_CURRENT:
    case ROLLOUT_STOP_SUCCESSOR:
    case ROLLOUT_PROMOTE:
        check(false, world, "not a verdict");
    }
}

static void perform(struct world *world, const struct rollout_action *action)
{
    struct rollout_slot *slot = &world->slots[action->slot];
    switch (action->type) {
    case ROLLOUT_START_CURRENT:
    case ROLLOUT_START_SUCCESSOR:
        perform_start(world, action);
        break;
    case ROLLOUT_SETTLE_CURRENT:
        perform_settle(world, action->slot);
        break;
    case ROLLOUT_DRAIN_CURRENT:
    case ROLLOUT_DRAIN_SUCCESSOR:
    case ROLLOUT_STOP_CURRENT:
    case ROLLOUT_STOP_SUCCESSOR:
        perform_leave(world, action);
        break;
    case ROLLOUT_PROMOTE:
        check(slot->current.presence == ROLLOUT_NONE && slot->successor.presence != ROLLOUT_NONE &&
                  action->slot < wanted_workers(world),
              world, "nobody to promote, or nowhere to");
        slot->current = slot->successor;
        slot->successor = (struct rollout_place){0};
        break;
    case ROLLOUT_FAIL:
    case ROLLOUT_COMMIT:
    case ROLLOUT_ROLLED_BACK:
    case ROLLOUT_DEGRADED:
        perform_verdict(world, action->type);
        break;
    }
}

static bool is_verdict(enum rollout_action_type type)
{
    return type >= ROLLOUT_FAIL;
}

/* --- what must hold in every state, also between two actions --- */

static void check_limits(const struct world *world)
{
    unsigned untold = 0, max_surge = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        untold += world->slots[i].current.presence != ROLLOUT_NONE;
        untold += world->slots[i].successor.presence != ROLLOUT_NONE;
    }
    for (unsigned i = 0; i <= world->target; i++)
        max_surge = MAX(max_surge, world->scenario->recipes[i].max_surge);
    check(world->stopping || untold <= world->highest + max_surge, world,
          "more than max_surge above workers");
    check(world->stopping || world->disturbed || count_ready(world, SLOTS_MAX) >= world->lowest,
          world, "too few are ready though nobody crashed");
}

static size_t call(const struct world *world, struct rollout_action *actions)
{
    const struct recipe *recipe = recipe_in_force(world);
    struct rollout_slot slots[SLOTS_MAX];
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        slots[i] = world->slots[i];
        slots[i].busy = is_busy(world, i);
        slots[i].unsettled = is_unsettled(world, i);
        slots[i].over = is_over(world, i);
        slots[i].held = has(world->held, i);
        slots[i].current.worn = has(world->worn, i);
    }
    struct rollout_view view = {
        .phase = world->phase,
        .order = recipe->order,
        .canary = recipe->canary,
        .max_unavailable = recipe->max_unavailable,
        .max_surge = recipe->max_surge,
        .workers = wanted_workers(world),
        .target_workers = recipe->workers,
        .own_sockets = world->scenario->queues,
        .failed = world->failed,
        .n_slots = SLOTS_MAX,
        .slots = slots,
    };
    return rollout_next(&view, actions);
}

/* What the shell does after every event. */
/* When rollout_next() has nothing more to do, it must have filled whatever may be filled. */
static void check_filled(const struct world *world)
{
    const struct recipe *recipe = recipe_in_force(world);
    unsigned wanted = wanted_workers(world);
    bool may_wait = recipe->order == ROLLOUT_DRAIN_FIRST &&
                    count_serving(world, wanted) >= floor_of(recipe, count_expected(world, wanted));
    for (unsigned i = 0; i < wanted; i++) {
        const struct rollout_slot *slot = &world->slots[i];
        check(slot->current.presence != ROLLOUT_NONE || slot->backoff || is_over(world, i) ||
                  (may_wait && slot->leaving > 0),
              world, "a slot was left empty");
    }
}

void model_converge(struct world *world)
{
    struct rollout_action actions[ROLLOUT_ACTIONS_MAX];
    for (unsigned round = 0;; round++) {
        size_t n = call(world, actions);
        if (n == 0)
            break;
        check(round < ROUNDS_MAX, world, "rollout_next() goes on for ever");
        check(!world->failed || world->phase == ROLLOUT_IDLE || is_verdict(actions[0].type), world,
              "went on after a failure");
        for (size_t i = 0; i < n; i++) {
            check(n == 1 || !is_verdict(actions[i].type), world, "a verdict that is not alone");
            perform(world, &actions[i]);
            forget_settled(world);
            check_limits(world);
        }
    }
    check_filled(world);
}

/* --- what may happen --- */

static bool is_trouble(enum event_type type)
{
    return type >= EVENT_START_FAILS && type <= EVENT_DRAINS_ITSELF;
}

bool model_allows(const struct world *world, const struct event *event)
{
    const struct rollout_slot *slot = &world->slots[event->slot];
    const struct rollout_place *place = event->successor ? &slot->successor : &slot->current;
    bool wished = place->generation == filling_generation(world);
    if (is_trouble(event->type) && world->troubles == 0)
        return false;
    switch (event->type) {
    case EVENT_READY:
    case EVENT_START_FAILS:
        return place->presence == ROLLOUT_STARTING;
    case EVENT_START_FAILS_FOR_GOOD:
        return place->presence == ROLLOUT_STARTING && wished &&
               (world->phase == ROLLOUT_ROLLING || world->phase == ROLLOUT_ROLLING_BACK);
    case EVENT_CRASH:
    case EVENT_DRAINS_ITSELF:
        return place->presence == ROLLOUT_READY;
    case EVENT_CRASH_AND_BACKOFF:
        return place->presence == ROLLOUT_READY && wished;
    case EVENT_ENDS:
        return world->scenario->ends && !event->successor && place->presence == ROLLOUT_READY &&
               wished && event->slot < wanted_workers(world);
    case EVENT_WEARS:
        return world->scenario->wears && !event->successor && place->presence != ROLLOUT_NONE &&
               !has(world->worn, event->slot);
    case EVENT_HELD:
        return world->scenario->ends && !event->successor && !has(world->held, event->slot) &&
               event->slot < wanted_workers(world);
    case EVENT_GONE:
        return !event->successor && slot->leaving > 0;
    case EVENT_BACKOFF_ENDS:
        return !event->successor && slot->backoff;
    case EVENT_PROVEN:
        return event->successor && world->phase == ROLLOUT_CANARY &&
               ((place->presence == ROLLOUT_READY && place->generation == ROLLOUT_TARGET) ||
                (event->slot == 0 && first_not_held(world) >= count_canary_slots(world)));
    case EVENT_SETTLES:
        return !event->successor && is_busy(world, event->slot);
    case EVENT_RELOAD:
        return !event->successor && event->slot == 0 && world->target < world->scenario->n_reloads;
    }
    return false;
}

static void vanish(struct world *world, const struct event *event)
{
    struct rollout_slot *slot = &world->slots[event->slot];
    struct rollout_place *place = event->successor ? &slot->successor : &slot->current;
    enum rollout_generation generation = place->generation;

    world->disturbed = world->disturbed || place->presence == ROLLOUT_READY;
    *place = (struct rollout_place){0};
    if (world->phase == ROLLOUT_CANARY && generation == ROLLOUT_TARGET)
        world->failed = true;
    if (event->type == EVENT_START_FAILS_FOR_GOOD)
        world->failed = true;
    if (event->type == EVENT_DRAINS_ITSELF)
        slot->leaving++;
    if ((event->type == EVENT_START_FAILS || event->type == EVENT_CRASH_AND_BACKOFF) &&
        generation == filling_generation(world))
        slot->backoff = true;
}

void model_happen(struct world *world, const struct event *event)
{
    struct rollout_slot *slot = &world->slots[event->slot];
    if (is_trouble(event->type))
        world->troubles--;
    switch (event->type) {
    case EVENT_READY:
        (event->successor ? &slot->successor : &slot->current)->presence = ROLLOUT_READY;
        break;
    case EVENT_GONE:
        slot->leaving--;
        break;
    case EVENT_BACKOFF_ENDS:
        slot->backoff = false;
        break;
    case EVENT_PROVEN:
        enter_phase(world, ROLLOUT_ROLLING);
        break;
    case EVENT_SETTLES:
        world->settled |= 1U << event->slot;
        break;
    case EVENT_START_FAILS:
    case EVENT_START_FAILS_FOR_GOOD:
    case EVENT_CRASH:
    case EVENT_CRASH_AND_BACKOFF:
    case EVENT_DRAINS_ITSELF:
        vanish(world, event);
        break;
    case EVENT_ENDS:
        vanish(world, event);
        world->over |= 1U << event->slot;
        break;
    case EVENT_WEARS:
        world->worn |= 1U << event->slot;
        break;
    case EVENT_HELD:
        world->disturbed = true;
        world->held |= 1U << event->slot;
        break;
    case EVENT_RELOAD:
        begin_reload(world);
        break;
    }
    forget_settled(world);
}

bool model_is_forward(enum event_type type)
{
    return !is_trouble(type) && type != EVENT_RELOAD;
}

struct world model_begin(const struct scenario *scenario)
{
    struct world world = {
        .scenario = scenario, .troubles = scenario->n_troubles, .disturbed = scenario->boot};
    forget_reload(&world);
    for (unsigned i = 0; i < scenario->recipes[0].workers && !scenario->boot; i++)
        world.slots[i].current = (struct rollout_place){.presence = ROLLOUT_READY,
                                                        .generation = ROLLOUT_COMMITTED};
    model_converge(&world);
    return world;
}

void model_check_shutdown(const struct world *world)
{
    struct world stopped = *world;
    stopped.stopping = true;
    enter_phase(&stopped, ROLLOUT_IDLE);
    model_converge(&stopped);
    check(all_ready(&stopped, ROLLOUT_COMMITTED), &stopped, "a shutdown left somebody untold");
}

void model_check_goal(const struct world *world)
{
    check(world->phase == ROLLOUT_IDLE, world, "a rollout that nothing brings forward");
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct rollout_slot *slot = &world->slots[i];
        check(slot->successor.presence == ROLLOUT_NONE, world, "a successor left over");
        if (is_over(world, i) && !has(world->held, i))
            continue;
        check(!has(world->worn, i), world, "a worn one left over");
        bool wanted = i < wanted_workers(world) && !is_over(world, i);
        check(slot->current.presence == (wanted ? ROLLOUT_READY : ROLLOUT_NONE), world,
              "a slot without a next step");
    }
}

void model_check_scaling(const struct world *world)
{
    /* Who is worn, and the one who takes over, serve together for a while. */
    if (world->phase != ROLLOUT_IDLE || world->worn != 0)
        return;
    unsigned ready = count_ready(world, SLOTS_MAX);
    for (unsigned workers = 1; workers <= SLOTS_MAX; workers++) {
        struct world scaled = *world;
        scaled.scaled = workers;
        scaled.highest = MAX(world->highest, workers);
        scaled.lowest = 0;
        scaled.settled = (1U << SLOTS_MAX) - 1;
        model_converge(&scaled);
        check(count_ready(&scaled, SLOTS_MAX) >= MIN(ready, workers), &scaled,
              "scaling took more than was too much");
        check(count_ready(&scaled, workers) < workers || count_ready(&scaled, SLOTS_MAX) == workers,
              &scaled, "a stand-in that nobody needs");
    }
}

static uint64_t pack_place(const struct rollout_place *place)
{
    return place->presence == ROLLOUT_NONE
               ? 0
               : 1 + (uint64_t)place->generation * 2 + (place->presence == ROLLOUT_READY);
}

/* 0 to 2, and 3: it is held, so that nothing settles in it. */
static uint64_t pack_settling(const struct world *world, unsigned slot)
{
    if (has(world->held, slot))
        return 3;
    if (world->scenario->wears)
        return has(world->worn, slot);
    return has(world->settled, slot) ? 2 : has(world->settling, slot);
}

static uint64_t pack_slot(const struct world *world, unsigned i)
{
    const struct rollout_slot *slot = &world->slots[i];
    uint64_t key = pack_place(&slot->current);
    key = key * 7 + pack_place(&slot->successor);
    key = key * LEAVING_MAX + slot->leaving;
    key = key * 3 + (has(world->over, i) ? 2 : slot->backoff);
    return key * 4 + pack_settling(world, i);
}

uint64_t model_pack(const struct world *world)
{
    uint64_t key = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        key = key * (7 * 7 * LEAVING_MAX * 3 * 4) + pack_slot(world, i);
    key = key * 4 + world->phase;
    key = key * GENERATIONS_MAX + world->committed;
    key = key * GENERATIONS_MAX + world->target;
    key = key * 4 + world->troubles;
    key = key * 2 + world->failed;
    key = key * 2 + world->disturbed;
    key = key * (SLOTS_MAX + 1) + world->lowest;
    return key * (SLOTS_MAX + 1) + world->highest + 1;
}
