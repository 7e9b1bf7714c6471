#include "reloaderctl/progress.h"

#include "base/strv.h"
#include "reloaderctl/field.h"
#include "reloaderctl/progress-wait.h"

#include <string.h>
#include <strings.h>

#define SLOTS_MAX 65536

/* Room for what is heard of them, whether they count yet or not. */
static void know_slots(struct progress_program *program, size_t n)
{
    if (program->slots && n <= program->n_known)
        return;
    struct progress_slot *slots = reallocarray(program->slots, n + 1, sizeof(*slots));
    if (!slots)
        die_of_memory();
    for (size_t i = program->n_known; i < n; i++)
        slots[i] = (struct progress_slot){.counts = program->whole};
    program->slots = slots;
    program->n_known = n;
}

static void set_slots(struct progress_program *program, size_t n)
{
    know_slots(program, n);
    program->n_slots = n;
}

static struct progress_program *add_program(struct progress *progress, const char *name,
                                            size_t n_slots, uint64_t generation)
{
    struct progress_program *larger = reallocarray(progress->programs, progress->n_programs + 1,
                                                   sizeof(*larger));
    if (!larger)
        die_of_memory();
    progress->programs = larger;
    struct progress_program *program = &larger[progress->n_programs++];
    *program = (struct progress_program){
        .name = strdup(name), .generation = generation, .taken = true, .whole = true};
    if (!program->name)
        die_of_memory();
    set_slots(program, n_slots);
    return program;
}

static void remember_pids(struct progress_program *program, json_t *status)
{
    json_t *slot;
    size_t i;
    json_array_foreach(json_object_get(status, "slots"), i, slot) if (i < program->n_slots)
        program->slots[i]
            .pid = (int64_t)get_number(json_array_get(json_object_get(slot, "workers"), 0), "pid");
}

void progress_init(struct progress *progress, json_t *status)
{
    json_t *programs = json_object_get(status, "programs"), *program;
    size_t i;
    *progress = (struct progress){0};
    json_array_foreach(programs, i, program)
    {
        const char *name = json_string_value(json_object_get(program, "name"));
        size_t n = MIN(json_array_size(json_object_get(program, "slots")), (size_t)SLOTS_MAX);
        struct progress_program *added = add_program(progress, name ? name : "", n,
                                                     get_number(program, "generation"));
        added->taken = n > 0;
        remember_pids(added, program);
    }
}

static void free_program(struct progress_program *program)
{
    free(program->name);
    free(program->slots);
    free(program->step);
    free(program->latest);
    free(program->waits);
}

void progress_clear(struct progress *progress)
{
    for (size_t i = 0; i < progress->n_programs; i++)
        free_program(&progress->programs[i]);
    free(progress->programs);
    free(progress->drawn);
    *progress = (struct progress){0};
}

static struct progress_program *find_program(struct progress *progress, const char *name)
{
    for (size_t i = 0; name && i < progress->n_programs; i++)
        if (strcmp(progress->programs[i].name, name) == 0)
            return &progress->programs[i];
    return NULL;
}

static void set_latest(struct progress_program *program, json_t *event, const char *state)
{
    const char *name = json_string_value(json_object_get(event, "name"));
    const char *reason = json_string_value(json_object_get(event, "reason"));
    CLEANUP_FREE char *text = string_format("%s %s%s%s", name ? name : program->name, state,
                                            reason ? ": " : "", reason ? reason : "");
    if (!text)
        die_of_memory();
    free(program->latest);
    program->latest = text_clean(text);
}

static void worker_event(struct progress_program *program, json_t *event)
{
    const char *state = json_string_value(json_object_get(event, "new"));
    if (!state)
        return;
    set_latest(program, event, state);
    uint64_t slot = get_number(event, "slot");
    /* Where there are to be more of them than before, the canary is in one of those, and ready before it is told how many. */
    if (slot < SLOTS_MAX)
        know_slots(program, (size_t)slot + 1);
    if (slot >= program->n_known)
        return;
    bool ready = strcasecmp(state, "READY") == 0;
    if (get_number(event, "generation") > program->generation)
        program->slots[slot].moved = ready;
    else if (ready)
        program->slots[slot].moved = false;
}

static void set_step(struct progress_program *program, char *step)
{
    free(program->step);
    program->step = step;
}

/* It may still have workers that leave; nobody waits for these. */
static void end_program(struct progress_program *program)
{
    free(program->waits);
    program->waits = NULL;
    program->ended = true;
}

static void rollout_event(struct progress_program *program, json_t *event)
{
    uint64_t workers = get_number(event, "workers");
    if (workers > 0 && workers <= SLOTS_MAX)
        set_slots(program, workers);
    set_step(program, get_words(event, "step"));
}

/* Programs that take no part have no line, those that come get one. */
static void follow_plan(struct progress *progress, json_t *plan)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(plan, "programs"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name")),
                   *was = json_string_value(json_object_get(entry, "was")),
                   *action = json_string_value(json_object_get(entry, "action"));
        struct progress_program *program = find_program(progress, was ? was : name);
        if (!name || !action)
            continue;
        if (!program && strcmp(action, "start") == 0)
            (void)add_program(progress, name,
                              MIN(get_number(entry, "workers"), (uint64_t)SLOTS_MAX), 0);
        else if (program)
            program->taken = strcmp(action, "roll") == 0;
    }
}

void progress_event(struct progress *progress, json_t *event)
{
    follow_plan(progress, json_object_get(event, "plan"));
    struct progress_program *program = find_program(
        progress, json_string_value(json_object_get(event, "program")));
    const char *type = json_string_value(json_object_get(event, "type"));
    if (!program || !type)
        return;
    if (strcmp(type, "worker") == 0)
        worker_event(program, event);
    else if (strcmp(type, "rollout") == 0)
        rollout_event(program, event);
}

void progress_result(struct progress *progress, json_t *result)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(result, "programs"), i, entry)
    {
        struct progress_program *program = find_program(
            progress, json_string_value(json_object_get(entry, "name")));
        if (!program)
            continue;
        set_step(program, get_words(entry, "result"));
        free(program->latest);
        program->latest = get_text(entry, "reason");
        end_program(program);
    }
}

/* What the master says counts, whatever was seen last. */
static void mark_target(struct progress_program *program, json_t *target)
{
    json_t *slot = json_object_get(target, "slot");
    if (strcmp(program->step, "failed") == 0 || strcmp(program->step, "superseded") == 0)
        return;
    for (size_t i = 0; i < program->n_slots; i++)
        if (!slot || (size_t)json_integer_value(slot) == i)
            program->slots[i].moved = true;
}

void progress_target(struct progress *progress, json_t *target)
{
    struct progress_program *program = find_program(
        progress, json_string_value(json_object_get(target, "program")));
    if (!program)
        return;
    set_step(program, get_words(target, "result"));
    mark_target(program, target);
    program->awaited -= program->awaited > 0;
    if (program->awaited == 0)
        end_program(program);
    CLEANUP_FREE char *reason = get_text(target, "reason");
    if (reason[0] == '\0')
        return;
    free(program->latest);
    program->latest = TAKE_PTR(reason);
}

size_t progress_moved(const struct progress_program *program)
{
    size_t moved = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        moved += program->slots[i].counts && program->slots[i].moved;
    return moved;
}

size_t progress_total(const struct progress_program *program)
{
    size_t total = 0;
    for (size_t i = 0; i < program->n_slots; i++)
        total += program->slots[i].counts;
    return total;
}

/* Looking */

void progress_aim(struct progress *progress, enum progress_goal goal, json_t *targets)
{
    json_t *target;
    size_t i;
    progress->goal = goal;
    for (i = 0; i < progress->n_programs; i++)
        progress->programs[i].taken = progress->programs[i].whole = false;
    for (i = 0; i < progress->n_programs; i++)
        for (size_t k = 0; k < progress->programs[i].n_slots; k++)
            progress->programs[i].slots[k].counts = false;
    json_array_foreach(targets, i, target)
    {
        struct progress_program *program = find_program(
            progress, json_string_value(json_object_get(target, "program")));
        uint64_t slot = get_number(target, "slot");
        if (!program)
            continue;
        program->taken = true;
        program->awaited++;
        if (!json_is_integer(json_object_get(target, "slot"))) {
            program->whole = true;
            for (size_t k = 0; k < program->n_slots; k++)
                program->slots[k].counts = true;
        } else if (slot < SLOTS_MAX) {
            set_slots(program, MAX(program->n_slots, (size_t)slot + 1));
            program->slots[slot].counts = true;
        }
    }
}

static const char *state_of(json_t *entry)
{
    const char *state = json_string_value(json_object_get(entry, "state"));
    return state ? state : "";
}

static bool has_ready(json_t *slot, int64_t but_pid)
{
    json_t *worker;
    size_t i;
    json_array_foreach(json_object_get(slot, "workers"), i,
                       worker) if (strcasecmp(state_of(worker), "READY") == 0 &&
                                   (int64_t)get_number(worker, "pid") != but_pid) return true;
    return false;
}

static bool is_done(enum progress_goal goal, const struct progress_slot *before, json_t *slot)
{
    switch (goal) {
    case PROGRESS_NEWER:
        return before->moved;
    case PROGRESS_READY:
        return has_ready(slot, 0) || strcasecmp(state_of(slot), "EXITED") == 0;
    case PROGRESS_GONE:
        return json_array_size(json_object_get(slot, "workers")) == 0;
    case PROGRESS_REPLACED:
        return has_ready(slot, before->pid);
    }
    return false;
}

void progress_look(struct progress *progress, json_t *status)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(status, "programs"), i, entry)
    {
        struct progress_program *program = find_program(
            progress, json_string_value(json_object_get(entry, "name")));
        json_t *slots = json_object_get(entry, "slots");
        if (!program || !program->taken)
            continue;
        free(program->waits);
        program->waits = program->ended ? NULL : progress_wait_text(entry);
        if (progress->goal == PROGRESS_NEWER || program->ended)
            continue;
        if (program->whole && json_array_size(slots) > program->n_slots)
            set_slots(program, MIN(json_array_size(slots), (size_t)SLOTS_MAX));
        for (size_t k = 0; k < program->n_slots; k++)
            program->slots[k].moved = is_done(progress->goal, &program->slots[k],
                                              json_array_get(slots, k));
    }
}
