/* How reloads ended: each one's record, and the event that tells it. */
#include "master/reload.h"

#include "base/clock.h"
#include "base/parse.h"
#include "base/strv.h"
#include "master/master.h"
#include "master/programs.h"
#include "worker/oneshot.h"

#define FATAL_TOLD_MAX 4 /* by name, of what may be a hundred */

const char *reload_result_to_string(enum reload_result result)
{
    switch (result) {
    case RELOAD_COMMITTED:
        return "committed";
    case RELOAD_ROLLED_BACK:
        return "rolled_back";
    case RELOAD_SUPERSEDED:
        return "superseded";
    case RELOAD_DEGRADED:
        return "degraded";
    case RELOAD_REFUSED:
        return "refused";
    }
    return "?";
}

static void record_clear(struct reload_record *record)
{
    free(record->reason);
    reload_request_clear(&record->request);
    json_decref(record->programs);
    *record = (struct reload_record){0};
}

void reload_init(struct reload *reload)
{
    *reload = (struct reload){0};
    list_init(&reload->checks);
}

void reload_clear(struct reload *reload)
{
    LIST_FOREACH_SAFE (check, &reload->checks, struct oneshot, link)
        (void)oneshot_free(check);
    reload_candidate_clear(&reload->candidate);
    for (size_t i = 0; i < RELOAD_HISTORY_MAX; i++)
        record_clear(&reload->history[i]);
    release_clear(&reload->release);
    reload_request_clear(&reload->wanted);
    reload_request_clear(&reload->running);
    free(reload->reason);
    reload->reason = NULL;
}

bool reload_is_pending(const struct reload *reload, uint64_t id)
{
    return id != 0 && (reload->wanted.id == id || reload->candidate.request.id == id ||
                       reload->running.id == id);
}

const struct reload_record *reload_find(const struct reload *reload, uint64_t id)
{
    for (size_t i = 0; i < RELOAD_HISTORY_MAX; i++)
        if (id != 0 && reload->history[i].request.id == id)
            return &reload->history[i];
    return NULL;
}

const struct reload_record *reload_newest(const struct reload *reload)
{
    return reload->n_history ? &reload->history[(reload->n_history - 1) % RELOAD_HISTORY_MAX]
                             : NULL;
}

const char *reload_cause_to_text(const struct reload_cause *cause,
                                 char buffer[RELOAD_CAUSE_TEXT_SIZE])
{
    char name[SIGNAL_NAME_SIZE];
    if (cause->path)
        (void)snprintf(buffer, RELOAD_CAUSE_TEXT_SIZE, "watch, %s changed", cause->path);
    else if (cause->over_http)
        (void)snprintf(buffer, RELOAD_CAUSE_TEXT_SIZE, "HTTP (gateway, pid %d)", (int)cause->pid);
    else
        (void)snprintf(buffer, RELOAD_CAUSE_TEXT_SIZE, "%s of pid %d, uid %u",
                       cause->signal ? signal_to_string(cause->signal, name) : "control",
                       (int)cause->pid, cause->uid);
    string_make_utf8(buffer); /* a path may be anything, and be cut anywhere */
    return buffer;
}

static json_t *cause_to_json(const struct reload_cause *cause)
{
    char name[SIGNAL_NAME_SIZE];
    if (cause->path)
        return json_pack("{s:s, s:s}", "by", "watch", "path", cause->path);
    const char *by = cause->signal      ? signal_to_string(cause->signal, name)
                     : cause->over_http ? "http"
                                        : "control";
    return json_pack("{s:s, s:I, s:I}", "by", by, "pid", (json_int_t)cause->pid, "uid",
                     (json_int_t)cause->uid);
}

static const char *kind_to_string(enum reload_kind kind)
{
    switch (kind) {
    case RELOAD_READ:
        return "read";
    case RELOAD_CURRENT:
        return "current";
    case RELOAD_RESTART:
        return "restart";
    case RELOAD_SCALE:
        return "scale";
    case RELOAD_UNDO:
        return "undo";
    }
    return "?";
}

/* What was asked for: "all", or the names; "changed" beside them. */
static json_t *wish_to_json(const struct reload_request *request)
{
    if (request->all)
        return json_string("all");
    json_t *names = json_array();
    STRV_FOREACH (name, request->programs)
        (void)json_array_append_new(names, json_string(*name));
    if (!request->changed_only)
        return names;
    bool alone = json_array_size(names) == 0;
    json_t *wish = alone ? json_string("changed")
                         : json_pack("{s:b, s:O}", "changed", 1, "programs", names);
    json_decref(names);
    return wish;
}

static json_t *phases_to_json(const struct reload_request *request)
{
    json_t *phases = json_object();
    for (enum reload_state state = RELOAD_NONE; state < RELOAD_STATES; state++) {
        const char *name = state == RELOAD_NONE ? "preparing" : reload_state_to_string(state);
        (void)json_object_set_new(phases, name,
                                  json_integer((json_int_t)request->phase_usec[state]));
    }
    return phases;
}

json_t *reload_record_to_json(const struct reload_record *record)
{
    const struct reload_request *request = &record->request;
    return json_pack("{s:I, s:b, s:s, s:o, s:s, s:s*, s:o, s:I, s:I, s:I, s:o, s:O}", "id",
                     (json_int_t)request->id, "undo", request->kind == RELOAD_UNDO, "kind",
                     kind_to_string(request->kind), "asked", wish_to_json(request), "result",
                     reload_result_to_string(record->result), "reason", record->reason, "cause",
                     cause_to_json(&request->cause), "also", (json_int_t)request->also,
                     "began_usec", (json_int_t)record->began_realtime_usec, "duration_usec",
                     (json_int_t)record->duration_usec, "phases", phases_to_json(request),
                     "programs", record->programs);
}

json_t *reload_history_to_json(const struct reload *reload)
{
    json_t *history = json_array();
    size_t n = MIN(reload->n_history, (size_t)RELOAD_HISTORY_MAX);
    for (size_t i = reload->n_history - n; i < reload->n_history; i++)
        (void)json_array_append_new(
            history, reload_record_to_json(&reload->history[i % RELOAD_HISTORY_MAX]));
    return history;
}

json_t *reload_counts_to_json(const struct reload *reload)
{
    json_t *counts = json_array();
    for (enum reload_result result = RELOAD_COMMITTED; result < RELOAD_RESULTS; result++)
        (void)json_array_append_new(
            counts, json_pack("{s:s, s:I, s:I}", "result", reload_result_to_string(result), "count",
                              (json_int_t)reload->counts[result].count, "duration_usec",
                              (json_int_t)reload->counts[result].duration_usec));
    return counts;
}

/* "untouched" had no part in it; a refused reload touched nobody. */
static const char *describe_result(const struct program *program, enum reload_result result)
{
    bool failed = result == RELOAD_DEGRADED || result == RELOAD_ROLLED_BACK;
    if (program->removed && result == RELOAD_COMMITTED)
        return "removed";
    if (!program->in_result && result != RELOAD_REFUSED)
        return "untouched";
    return failed && !(result == RELOAD_DEGRADED && program->degraded)
               ? "rolled_back"
               : reload_result_to_string(result);
}

static const char *find_failure(const struct program *program, unsigned slot)
{
    for (size_t i = 0; i < program->n_slot_failures; i++)
        if (program->slot_failures[i].slot == slot)
            return program->slot_failures[i].reason;
    return NULL;
}

static json_t *describe_slot(const struct slot *slot, bool has_tried)
{
    const struct worker *worker = slot->current ? slot->current : slot->successor;
    const char *failure = has_tried ? find_failure(slot->program, slot->number) : NULL;
    json_t *json = json_pack("{s:I, s:s, s:s*}", "slot", (json_int_t)slot->number, "state",
                             slot_state_to_string(slot_get_state(slot)), "reason", failure);
    if (json && worker) {
        (void)json_object_set_new(json, "pid", json_integer(worker->pid));
        (void)json_object_set_new(json, "generation",
                                  json_integer((json_int_t)worker->generation->number));
    }
    return json;
}

/* What failed in slots is of the reload that began last. */
static json_t *describe_slots(const struct program *program, bool has_tried)
{
    json_t *slots = json_array();
    for (size_t i = 0; i < program->n_slots; i++)
        (void)json_array_append_new(slots, describe_slot(program->slots[i], has_tried));
    for (size_t i = 0; has_tried && i < program->n_slot_failures; i++) {
        const struct slot_failure *failure = &program->slot_failures[i];
        if (failure->slot >= program->n_slots)
            (void)json_array_append_new(slots, json_pack("{s:I, s:s, s:s}", "slot",
                                                         (json_int_t)failure->slot, "state",
                                                         "STOPPED", "reason", failure->reason));
    }
    return slots;
}

/* "api is FATAL as before: ..."; NULL: it is not. */
static char *name_fatal(const struct program *program)
{
    CLEANUP_FREE char *text = program->in_result ? program_fatal_text(program) : NULL;
    return text ? string_format("%s%s%s", program->name,
                                program_stays_fatal(program) ? " is " : ": ", text)
                : NULL;
}

char *reload_fatal_text(const struct master *master)
{
    CLEANUP_FREE char *all = NULL;
    size_t n = 0;
    for (size_t i = 0; i < master->n_programs; i++) {
        CLEANUP_FREE char *text = name_fatal(master->programs[i]);
        if (!text || ++n > FATAL_TOLD_MAX)
            continue;
        char *longer = string_format("%s%s%s", all ? all : "", all ? "; " : "", text);
        free(all);
        all = longer;
    }
    return n > FATAL_TOLD_MAX
               ? string_format("%s; and %zu more", all ? all : "no memory", n - FATAL_TOLD_MAX)
               : TAKE_PTR(all);
}

/* Of a name there is one: one that was removed for another of its name is still there, for people. */
static bool is_worth_telling(const struct master *master, const struct program *program,
                             enum reload_result result)
{
    return !program->removed || (program->in_result && result == RELOAD_COMMITTED &&
                                 !master_find_program(master, program->name));
}

/* malloc-ed; NULL: there is none. */
static char *describe_failure(const struct program *program, enum reload_result result)
{
    bool failed = result == RELOAD_DEGRADED || result == RELOAD_ROLLED_BACK;
    if (program->in_result && result == RELOAD_COMMITTED)
        return program_fatal_text(program);
    return program->in_result && failed && program->failure ? strdup(program->failure) : NULL;
}

static json_t *describe_programs(const struct master *master, enum reload_result result, bool began)
{
    json_t *programs = json_array();
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        if (!is_worth_telling(master, program, result))
            continue;
        CLEANUP_FREE char *reason = describe_failure(program, result);
        (void)json_array_append_new(
            programs, json_pack("{s:s, s:s, s:I, s:I, s:s*, s:o}", "name", program->name, "result",
                                describe_result(program, result), "generation",
                                (json_int_t)program->committed->number, "workers",
                                (json_int_t)program_wanted(program), "reason", reason, "slots",
                                describe_slots(program, began)));
    }
    return programs;
}

static void publish_end(struct master *master, const struct reload_record *record)
{
    json_t *fields = reload_record_to_json(record);
    if (fields)
        (void)json_object_set_new(fields, "state", json_string("ended"));
    event_bus_publish(&master->events, EVENT_RELOAD, fields);
}

void reload_end(struct master *master, struct reload_request *request, enum reload_result result,
                char *reason)
{
    uint64_t duration = clock_monotonic_usec() - request->began_usec;
    struct reload *reload = &master->reload;
    struct reload_record *record = &reload->history[reload->n_history++ % RELOAD_HISTORY_MAX];
    if (reason)
        string_make_utf8(
            reason); /* an event that cannot be encoded would never reach those who wait for it */
    record_clear(record);
    *record = (struct reload_record){
        .request = *request,
        .result = result,
        .reason = reason,
        .began_realtime_usec = clock_realtime_usec() - duration,
        .duration_usec = duration,
        .programs = describe_programs(master, result, request == &reload->running),
    };
    *request = (struct reload_request){0};
    reload->counts[result].count++;
    reload->counts[result].duration_usec += duration;
    publish_end(master, record);
}
