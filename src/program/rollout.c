/*
 * rollout.c - the decision behind every start and every drain.
 *
 * One call looks at the view in stages and stops at the first one that has something to do:
 *
 *   verdict   a failure ends the phase; nothing else is done in that call
 *   clear     what must not be where it is: superseded successors, starting workers of the wrong generation;
 *             a successor whose slot is empty moves up
 *   fill      empty wanted slots are started: this costs nobody anything
 *   replace   ready workers of the wrong generation, one by one within the limits; in CANARY: start the canary
 *   shrink    surplus slots
 *   done      nothing was left to do and all is as wished: COMMIT or ROLLED_BACK
 *
 * A stage sees the view as it was given, so within one call a slot is touched by one stage only; the caller comes back with a
 * new view. Counts that several actions of one stage share (who is ready, successors) are kept up to date in struct plan.
 *
 * Why nothing waits for ever: a wanted slot's own place is never subject to the surge limit, so it is always filled after a
 * backoff or a departure, both of which end. When all wanted slots are ready, either workers - 1 others suffice to drain one
 * (drain-first), or a successor may be started beside it (ready-first), and once that is ready `workers` others are.
 */
#include "program/rollout.h"

#include "base/macros.h"

struct plan {
    const struct rollout_view *view;
    struct rollout_action *actions;
    size_t n_actions;
    unsigned workers;       /* wanted, without those that are over */
    unsigned floor;         /* ready workers that must be left in wanted slots */
    unsigned ready;         /* in wanted slots */
    unsigned ready_surplus; /* in the others */
    unsigned successors;
};

static bool is_wanted(const struct rollout_view *view, size_t slot)
{
    return slot < view->workers;
}

static bool is_rolling(const struct rollout_view *view)
{
    return view->phase == ROLLOUT_ROLLING || view->phase == ROLLOUT_ROLLING_BACK;
}

/* What an empty current place is filled with. */
static enum rollout_generation wished_generation(const struct rollout_view *view)
{
    return view->phase == ROLLOUT_ROLLING ? ROLLOUT_TARGET : ROLLOUT_COMMITTED;
}

static bool holds(const struct rollout_place *place, enum rollout_presence presence,
                  enum rollout_generation generation)
{
    return place->presence == presence && place->generation == generation;
}

/* A worker that is to be replaced. Out of a rollout everybody may stay who is not worn. */
static bool is_outdated(const struct rollout_view *view, const struct rollout_place *place)
{
    if (place->presence == ROLLOUT_NONE)
        return false;
    return is_rolling(view) ? place->generation != wished_generation(view)
                            : view->phase == ROLLOUT_IDLE && place->worn;
}

static struct plan plan_for(const struct rollout_view *view, struct rollout_action *actions)
{
    struct plan plan = {.view = view, .actions = actions, .workers = view->workers};
    for (size_t i = 0; i < view->n_slots && is_wanted(view, i); i++)
        plan.workers -= view->slots[i].over && view->slots[i].current.presence == ROLLOUT_NONE;
    unsigned kept = plan.workers - MIN(plan.workers, view->max_unavailable);
    plan.floor = MAX(view->canary ? 1U : 0U, kept);
    for (size_t i = 0; i < view->n_slots; i++) {
        const struct rollout_slot *slot = &view->slots[i];
        unsigned *ready = is_wanted(view, i) ? &plan.ready : &plan.ready_surplus;
        bool settling = is_wanted(view, i) && slot->busy;
        *ready += slot->current.presence == ROLLOUT_READY && !settling;
        *ready += slot->successor.presence == ROLLOUT_READY;
        plan.successors += slot->successor.presence != ROLLOUT_NONE;
    }
    return plan;
}

static bool add(struct plan *plan, enum rollout_action_type type, size_t slot)
{
    if (plan->n_actions == ROLLOUT_ACTIONS_MAX)
        return false;
    plan->actions[plan->n_actions++] = (struct rollout_action){.type = type,
                                                               .slot = (unsigned)slot};
    return true;
}

static bool add_start(struct plan *plan, enum rollout_action_type type, size_t slot,
                      enum rollout_generation generation)
{
    if (!add(plan, type, slot))
        return false;
    plan->actions[plan->n_actions - 1].generation = generation;
    return true;
}

static void judge_failure(struct plan *plan)
{
    if (!plan->view->failed)
        return;
    switch (plan->view->phase) {
    case ROLLOUT_IDLE:
        break;
    case ROLLOUT_CANARY:
    case ROLLOUT_ROLLING:
        (void)add(plan, ROLLOUT_FAIL, 0);
        break;
    case ROLLOUT_ROLLING_BACK:
        (void)add(plan, ROLLOUT_DEGRADED, 0);
        break;
    }
}

/* Is this successor the replacement that the phase wants beside the current worker? */
static bool successor_belongs(const struct rollout_view *view, size_t i)
{
    const struct rollout_slot *slot = &view->slots[i];
    switch (view->phase) {
    case ROLLOUT_CANARY:
        return slot->successor.generation == ROLLOUT_TARGET && i < view->target_workers;
    case ROLLOUT_IDLE:
    case ROLLOUT_ROLLING:
    case ROLLOUT_ROLLING_BACK:
        return is_wanted(view, i) && slot->successor.generation == wished_generation(view) &&
               !slot->successor.worn && is_outdated(view, &slot->current);
    }
    return false;
}

static void clear_successor(struct plan *plan, size_t i)
{
    const struct rollout_view *view = plan->view;
    const struct rollout_slot *slot = &view->slots[i];
    bool ready = slot->successor.presence == ROLLOUT_READY;

    if (!slot->held && successor_belongs(view, i))
        return;
    if (is_wanted(view, i) && !slot->held && slot->current.presence == ROLLOUT_NONE &&
        (ready || slot->successor.generation == wished_generation(view)))
        (void)add(plan, ROLLOUT_PROMOTE, i);
    else if (!ready)
        (void)add(plan, ROLLOUT_STOP_SUCCESSOR, i);
    else if (slot->held || slot->current.presence != ROLLOUT_STARTING)
        (void)add(plan, ROLLOUT_DRAIN_SUCCESSOR, i);
    /* Else it serves in place of one that is just coming up again, and is told when that one is ready. */
}

static void clear(struct plan *plan)
{
    const struct rollout_view *view = plan->view;
    for (size_t i = 0; i < view->n_slots; i++) {
        const struct rollout_slot *slot = &view->slots[i];
        if (slot->current.presence == ROLLOUT_STARTING &&
            (!is_wanted(view, i) || slot->held || is_outdated(view, &slot->current)))
            (void)add(plan, ROLLOUT_STOP_CURRENT, i);
        else if (slot->held && slot->current.presence == ROLLOUT_READY)
            (void)add(plan, ROLLOUT_DRAIN_CURRENT, i);
        else if (slot->successor.presence != ROLLOUT_NONE)
            clear_successor(plan, i);
    }
}

static void fill(struct plan *plan)
{
    const struct rollout_view *view = plan->view;
    for (size_t i = 0; i < view->n_slots && is_wanted(view, i); i++) {
        const struct rollout_slot *slot = &view->slots[i];
        bool waits_for_leaving = view->order == ROLLOUT_DRAIN_FIRST && slot->leaving > 0 &&
                                 plan->ready >= plan->floor;
        if (slot->current.presence == ROLLOUT_NONE && !slot->backoff && !slot->over &&
            !waits_for_leaving)
            (void)add_start(plan, ROLLOUT_START_CURRENT, i, wished_generation(view));
    }
}

/* In the first slot without a ready worker: there a new one helps most, whatever becomes of it. */
static void start_canary(struct plan *plan)
{
    const struct rollout_view *view = plan->view;
    /* The canary itself, or one that stands in and will be told in a moment. */
    if (plan->successors > 0 || view->crowded)
        return;
    unsigned slots = view->own_sockets ? MIN(view->workers, view->target_workers)
                                       : view->target_workers;
    size_t slot = 0, first = 0;
    while (first < slots && view->slots[first].held)
        first++;
    if (slots > 0 && first == slots)
        return;
    for (slot = first; slot < slots; slot++)
        if (view->slots[slot].current.presence != ROLLOUT_READY && !view->slots[slot].held)
            break;
    (void)add_start(plan, ROLLOUT_START_SUCCESSOR, slot < slots ? slot : first, ROLLOUT_TARGET);
}

/* Tells the outdated worker of a slot, or lets it settle first, if enough others are ready. */
static void drain_outdated(struct plan *plan, size_t i)
{
    const struct rollout_slot *slot = &plan->view->slots[i];
    if (plan->ready > plan->floor && !slot->busy &&
        add(plan, slot->unsettled ? ROLLOUT_SETTLE_CURRENT : ROLLOUT_DRAIN_CURRENT, i))
        plan->ready--;
}

/*
 * Slots whose replacement is ready change over first: that frees surge and costs the least. `clear` promotes the replacement
 * in the next call.
 */
static void change_over(struct plan *plan)
{
    const struct rollout_view *view = plan->view;
    for (size_t i = 0; i < view->n_slots && is_wanted(view, i); i++) {
        const struct rollout_slot *slot = &view->slots[i];
        if (slot->current.presence == ROLLOUT_READY && is_outdated(view, &slot->current) &&
            holds(&slot->successor, ROLLOUT_READY, wished_generation(view)))
            drain_outdated(plan, i);
    }
}

static void replace(struct plan *plan)
{
    const struct rollout_view *view = plan->view;
    bool ready_first = view->order == ROLLOUT_READY_FIRST || plan->floor >= plan->workers;
    for (size_t i = 0; i < view->n_slots && is_wanted(view, i); i++) {
        const struct rollout_slot *slot = &view->slots[i];
        if (slot->current.presence != ROLLOUT_READY || !is_outdated(view, &slot->current) ||
            slot->successor.presence != ROLLOUT_NONE || slot->backoff)
            continue;
        if (ready_first) {
            if (plan->successors < view->max_surge && !view->crowded &&
                add_start(plan, ROLLOUT_START_SUCCESSOR, i, wished_generation(view)))
                plan->successors++;
        } else {
            drain_outdated(plan, i);
        }
    }
}

static bool is_as_wished(const struct rollout_view *view, const struct rollout_slot *slot)
{
    if (slot->over && slot->current.presence == ROLLOUT_NONE)
        return true;
    return !slot->held && holds(&slot->current, ROLLOUT_READY, wished_generation(view));
}

static bool wanted_slots_are_as_wished(const struct rollout_view *view)
{
    for (size_t i = 0; i < view->n_slots && is_wanted(view, i); i++)
        if (!is_as_wished(view, &view->slots[i]))
            return false;
    return true;
}

static void shrink(struct plan *plan)
{
    const struct rollout_view *view = plan->view;
    for (size_t i = view->workers; i < view->n_slots; i++)
        if (view->slots[i].current.presence == ROLLOUT_READY && !view->slots[i].busy &&
            (is_rolling(view) || plan->ready + plan->ready_surplus > view->workers) &&
            add(plan, ROLLOUT_DRAIN_CURRENT, i))
            plan->ready_surplus--;
}

static void decide_rolling(struct plan *plan)
{
    change_over(plan);
    replace(plan);
    if (plan->n_actions > 0 || !wanted_slots_are_as_wished(plan->view))
        return;
    shrink(plan);
    if (plan->n_actions == 0 && plan->ready_surplus == 0)
        (void)add(plan, plan->view->phase == ROLLOUT_ROLLING ? ROLLOUT_COMMIT : ROLLOUT_ROLLED_BACK,
                  0);
}

static bool is_worn_out(const struct rollout_view *view, size_t i)
{
    const struct rollout_slot *slot = &view->slots[i];
    return slot->current.presence == ROLLOUT_READY && is_outdated(view, &slot->current) &&
           slot->successor.presence == ROLLOUT_NONE && !slot->backoff && !slot->over;
}

/* Nobody waits for it, so it costs no more than it must: one at a time. */
static void renew(struct plan *plan)
{
    const struct rollout_view *view = plan->view;
    size_t i = 0;
    change_over(plan);
    while (i < view->workers && !is_worn_out(view, i))
        i++;
    if (plan->n_actions > 0 || plan->successors > 0 || i == view->workers)
        return;
    if (view->max_surge == 0 && plan->ready >= plan->workers)
        drain_outdated(plan, i);
    else if (view->max_surge > 0 && !view->crowded)
        (void)add_start(plan, ROLLOUT_START_SUCCESSOR, i, wished_generation(view));
}

static void decide_phase(struct plan *plan)
{
    switch (plan->view->phase) {
    case ROLLOUT_IDLE:
        renew(plan);
        shrink(plan);
        break;
    case ROLLOUT_CANARY:
        start_canary(plan);
        break;
    case ROLLOUT_ROLLING:
    case ROLLOUT_ROLLING_BACK:
        decide_rolling(plan);
        break;
    }
}

size_t rollout_next(const struct rollout_view *view,
                    struct rollout_action actions[ROLLOUT_ACTIONS_MAX])
{
    static void (*const stages[])(struct plan *) = {judge_failure, clear, fill, decide_phase};
    struct plan plan = plan_for(view, actions);
    for (size_t i = 0; i < ARRAY_SIZE(stages) && plan.n_actions == 0; i++)
        stages[i](&plan);
    return plan.n_actions;
}
