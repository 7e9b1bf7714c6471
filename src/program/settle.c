/*
 * A slot is surplus when its program has fewer workers from now on; all slots of one that was removed are.
 * New connections are steered away from a surplus slot in the same step that finds it surplus. Handshakes that had begun then
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

static bool look(struct slot *slot, unsigned waiting, uint64_t now)
{
    if (waiting > 0)
        slot->empty_looks = 0;
    else if (now - slot->looked_usec >= LOOK_USEC)
        slot->empty_looks++;
    slot->looked_usec = now;
    uint64_t since = now - slot->surplus_usec;
    if (since >= slot->current->generation->program->disconnect_timeout_usec)
        return false;
    return since < HANDSHAKE_USEC || slot->empty_looks < EMPTY_LOOKS;
}

bool slot_is_busy(struct slot *slot)
{
    struct program *program = slot->program;
    uint64_t now = clock_monotonic_usec();
    unsigned waiting;
    if (!is_surplus(slot) || !program->params.ops->slot_queue ||
        !program->params.ops->slot_queue(program, slot->number, &waiting,
                                         program->params.userdata)) {
        slot->surplus_usec = 0;
        return false;
    }
    if (slot->surplus_usec == 0) {
        slot->surplus_usec = slot->looked_usec = now;
        slot->empty_looks = 0;
    }
    if (!look(slot, waiting, now))
        return false;
    (void)sd_event_source_set_time(program->settle_timer, now + LOOK_USEC);
    (void)sd_event_source_set_enabled(program->settle_timer, SD_EVENT_ONESHOT);
    return true;
}
