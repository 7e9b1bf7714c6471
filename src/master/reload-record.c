/* How reloads ended: each one's record, and the event that tells it. */
#include "master/reload.h"

#include "base/clock.h"
#include "base/strv.h"
#include "master/master.h"

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
    json_decref(record->programs);
    *record = (struct reload_record){0};
}

void reload_clear(struct reload *reload)
{
    for (size_t i = 0; i < RELOAD_HISTORY_MAX; i++)
        record_clear(&reload->history[i]);
    reload->config = config_unref(reload->config);
    free(reload->reason);
    reload->reason = NULL;
}

const struct reload_record *reload_find(const struct reload *reload, uint64_t id)
{
    for (size_t i = 0; i < RELOAD_HISTORY_MAX; i++)
        if (id != 0 && reload->history[i].id == id)
            return &reload->history[i];
    return NULL;
}

const struct reload_record *reload_newest(const struct reload *reload)
{
    return reload->n_history ? &reload->history[(reload->n_history - 1) % RELOAD_HISTORY_MAX]
                             : NULL;
}

json_t *reload_record_to_json(const struct reload_record *record)
{
    return json_pack("{s:I, s:s, s:s*, s:I, s:O}", "id", (json_int_t)record->id, "result",
                     reload_result_to_string(record->result), "reason", record->reason,
                     "duration_usec", (json_int_t)record->duration_usec, "programs",
                     record->programs);
}

static json_t *describe_programs(const struct master *master, enum reload_result result)
{
    json_t *programs = json_array();
    for (size_t i = 0; i < master->n_programs; i++) {
        const struct program *program = master->programs[i];
        bool failed = result == RELOAD_DEGRADED || result == RELOAD_ROLLED_BACK;
        bool degraded = result == RELOAD_DEGRADED && program->degraded;
        const char *text = failed && !degraded ? "rolled_back" : reload_result_to_string(result);
        (void)json_array_append_new(
            programs, json_pack("{s:s, s:s, s:I, s:I, s:s*}", "name", program->name, "result", text,
                                "generation", (json_int_t)program->committed->number, "workers",
                                (json_int_t)program_wanted(program), "reason",
                                failed ? program->failure : NULL));
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

void reload_end(struct master *master, uint64_t id, enum reload_result result, char *reason,
                uint64_t began_usec)
{
    struct reload *reload = &master->reload;
    struct reload_record *record = &reload->history[reload->n_history++ % RELOAD_HISTORY_MAX];
    if (reason)
        string_make_utf8(
            reason); /* an event that cannot be encoded would never reach those who wait for it */
    record_clear(record);
    *record = (struct reload_record){
        .id = id,
        .result = result,
        .reason = reason,
        .duration_usec = clock_monotonic_usec() - began_usec,
        .programs = describe_programs(master, result),
    };
    publish_end(master, record);
}
