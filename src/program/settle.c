/*
 * A slot is surplus when its program has fewer workers from now on; all slots of one that was removed are.
 * New connections are steered away from a slot in the same step that finds it surplus, or lets it settle because its socket
 * will be nobody's. Handshakes that had begun then
 * still end at its socket, so it is watched for a second at least; then its queue has to be found empty twice. A queue that never empties
 * has no worker that accepts: disconnect_timeout is the end of the patience.
 */
#include "program/settle.h"

#include "base/clock.h"
#include "program/internal.h"

#define LOOK_USEC      (50 * USEC_PER_MSEC)
#define HANDSHAKE_USEC USEC_PER_SEC
#define EMPTY_LOOKS    2

static int on_look(sd_event_source *source UNUSED, uint64_t now UNUSED, void *userdata)
{
    program_mark(userdata);
    return 0;
}

int program_add_settle_timer(struct program *program)
{
    int r = sd_event_add_time(program->params.event, &program->settle_timer, CLOCK_MONOTONIC, 0,
                              USEC_PER_MSEC, on_look, program);
    if (r >= 0)
        r = sd_event_source_set_enabled(program->settle_timer, SD_EVENT_OFF);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(program->settle_timer, "settle");
    return 0;
}

static bool is_surplus(const struct slot *slot)
{
    const struct program *program = slot->program;
    return (program->started || program->removed) && slot->number >= program_wanted(program) &&
           slot->current && slot->current->state == WORKER_READY;
}

/* The socket of a group that a worker of this generation has in the slot; NULL: it shares, or has none. */
static const struct listener_socket *own_socket(const struct generation *generation, size_t i,
                                                unsigned slot)
{
    const struct listener *listener = generation->listeners[i];
    return listener->options.reuseport && slot < listener->n_sockets ? listener->sockets[slot]
                                                                     : NULL;
}

static bool has_socket(const struct generation *generation, unsigned slot,
                       const struct listener_socket *socket)
{
    for (size_t i = 0; i < generation->program->n_sockets; i++) {
        const struct listener *listener = generation->listeners[i];
        size_t number = listener->n_sockets == 1 ? 0 : slot;
        if (number < listener->n_sockets && listener->sockets[number] == socket)
            return true;
    }
    return false;
}

/* Is it to be replaced by one that does not take over all of its own sockets? */
static bool leaves_a_socket(const struct slot *slot)
{
    const struct program *program = slot->program;
    const struct generation *wished = program_wanted_generation(program);
    const struct worker *worker = slot->current;
    bool rolling = program->phase == ROLLOUT_ROLLING || program->phase == ROLLOUT_ROLLING_BACK;
    if (!rolling || !worker || worker->state != WORKER_READY || worker->generation == wished)
        return false;
    for (size_t i = 0; i < worker->generation->program->n_sockets; i++) {
        const struct listener_socket *own = own_socket(worker->generation, i, slot->number);
        if (own && !has_socket(wished, slot->number, own))
            return true;
    }
    return false;
}

static bool look(struct slot *slot, unsigned waiting, uint64_t now)
{
    if (waiting > 0)
        slot->empty_looks = 0;
    else if (now - slot->looked_usec >= LOOK_USEC)
        slot->empty_looks++;
    slot->looked_usec = now;
    uint64_t since = now - slot->settling_usec;
    if (since >= slot->current->generation->program->disconnect_timeout_usec)
        return false;
    return since < HANDSHAKE_USEC || slot->empty_looks < EMPTY_LOOKS;
}

static void begin(struct slot *slot, uint64_t now)
{
    slot->settling_usec = slot->looked_usec = now;
    slot->empty_looks = 0;
}

void slot_settle(struct slot *slot)
{
    begin(slot, clock_monotonic_usec());
}

bool slot_is_unsettled(const struct slot *slot)
{
    return slot->settling_usec == 0 && slot->program->params.ops->slot_queue &&
           leaves_a_socket(slot);
}

bool slot_is_busy(struct slot *slot)
{
    struct program *program = slot->program;
    const struct program_ops *ops = program->params.ops;
    uint64_t now = clock_monotonic_usec();
    bool leaves = is_surplus(slot) || (slot->settling_usec > 0 && leaves_a_socket(slot));
    unsigned waiting;
    if (!leaves || !ops->slot_queue ||
        !ops->slot_queue(program, slot->number, &waiting, program->params.userdata)) {
        slot->settling_usec = 0;
        return false;
    }
    if (slot->settling_usec == 0)
        begin(slot, now);
    if (!look(slot, waiting, now))
        return false;
    (void)sd_event_source_set_time(program->settle_timer, now + LOOK_USEC);
    (void)sd_event_source_set_enabled(program->settle_timer, SD_EVENT_ONESHOT);
    return true;
}
