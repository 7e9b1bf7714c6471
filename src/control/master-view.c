#include "control/master-view.h"

#include "base/clock.h"
#include "base/strv.h"
#include "control/attach-view.h"
#include "control/listener-view.h"
#include "control/logs-view.h"
#include "control/send-view.h"
#include "control/signal-view.h"
#include "master/gateway.h"
#include "master/jobs.h"
#include "master/scale.h"
#include "master/why.h"
#include "worker/environment.h"

#include <unistd.h>

/* Left out where nothing is looked at. */
static void add_health(json_t *view, const struct worker *worker)
{
    if (!view || worker->state != WORKER_READY ||
        !config_looks_at_health(worker->generation->program))
        return;
    (void)json_object_set_new(
        view, "health",
        json_pack("{s:s, s:I, s:s*}", "state", health_to_string(worker_health(worker)), "failures",
                  (json_int_t)worker->health.failures, "text", worker->health.text));
}

/* Of states that last no longer than some key says. */
static void add_left(json_t *view, const struct worker *worker)
{
    uint64_t now = clock_monotonic_usec();
    bool has_end = worker->state == WORKER_STARTING || worker->state == WORKER_DRAINING ||
                   worker->state == WORKER_STOPPING;
    if (view && has_end && sd_event_source_get_enabled(worker->deadline_timer, NULL) > 0 &&
        worker->deadline_usec > now)
        (void)json_object_set_new(view, "left_usec",
                                  json_integer((json_int_t)(worker->deadline_usec - now)));
}

static json_t *view_worker(const struct worker *worker, unsigned restarts)
{
    uint64_t age = clock_monotonic_usec() - worker->state_usec;
    json_t *view = json_pack("{s:I, s:I, s:s, s:s*, s:I, s:I, s:b}", "pid", (json_int_t)worker->pid,
                             "generation", (json_int_t)worker->generation->number, "state",
                             worker_state_to_string(worker->state), "text", worker->status,
                             "since_usec", (json_int_t)(clock_realtime_usec() - age), "restarts",
                             (json_int_t)restarts, "mixed", worker->mixed);
    add_left(view, worker);
    if (view && worker->reason && worker->state != WORKER_READY)
        (void)json_object_set_new(view, "reason", json_string(worker->reason));
    add_health(view, worker);
    return view;
}

static json_t *view_workers(const struct slot *slot)
{
    json_t *workers = json_array();
    if (slot->current)
        (void)json_array_append_new(workers, view_worker(slot->current, slot->restarts));
    if (slot->successor)
        (void)json_array_append_new(workers, view_worker(slot->successor, slot->restarts));
    LIST_FOREACH (worker, &slot->leaving, struct worker, link)
        if (worker->state != WORKER_GONE)
            (void)json_array_append_new(workers, view_worker(worker, slot->restarts));
    return workers;
}

static json_t *view_slot(const struct program *program, const struct slot *slot)
{
    CLEANUP_FREE char *name = NULL, *error = NULL, *reason = slot_reason(slot);
    enum slot_state state = slot_get_state(slot);
    (void)worker_make_name(program->committed, slot->number, &name, &error);
    json_t *view = json_pack("{s:I, s:s*, s:s, s:I, s:s*, s:o}", "slot", (json_int_t)slot->number,
                             "name", name, "state", slot_state_to_string(state), "restarts",
                             (json_int_t)slot->restarts, "reason", reason, "workers",
                             view_workers(slot));
    uint64_t now = clock_monotonic_usec();
    if (view && state == SLOT_BACKOFF && slot->backoff_until_usec > now)
        (void)json_object_set_new(
            view, "retry_usec",
            json_integer((json_int_t)(clock_realtime_usec() + slot->backoff_until_usec - now)));
    return view;
}

static json_t *view_slots(const struct program *program)
{
    json_t *slots = json_array();
    for (size_t i = 0; i < program->n_slots; i++)
        (void)json_array_append_new(slots, view_slot(program, program->slots[i]));
    return slots;
}

static bool all_are(const struct program *program, enum slot_state state)
{
    for (size_t i = 0; i < program->n_slots && i < program_wanted(program); i++)
        if (slot_get_state(program->slots[i]) != state)
            return false;
    return true;
}

/* Whoever was not stopped, and has not done its work. */
static bool is_given_up(const struct program *program)
{
    bool any = false;
    for (size_t i = 0; i < program->n_slots && i < program_wanted(program); i++) {
        enum slot_state state = slot_get_state(program->slots[i]);
        if (!program->slots[i]->held && state != SLOT_EXITED && state != SLOT_FATAL)
            return false;
        any = any || state == SLOT_FATAL;
    }
    return any;
}

/* Nobody is to run in any of its slots. */
static const char *describe_none(const struct program *program)
{
    if (!program_is_empty(program))
        return "STOPPING";
    return all_are(program, SLOT_EXITED) ? "EXITED" : "STOPPED";
}

/* One word for the program as a whole: what its operator would ask first. */
static const char *program_state(const struct master *master, const struct program *program)
{
    if (program->stopping)
        return program_is_empty(program) ? "STOPPED" : "STOPPING";
    if (!program->started && jobs_awaited_by(master, program->name))
        return "WAITING";
    /* When the reload that runs is over. */
    if (!program->started && program->resumes)
        return "STARTING";
    if (!program->started)
        return program_is_empty(program) ? "STOPPED" : "STOPPING";
    switch (program->phase) {
    case ROLLOUT_IDLE:
        break;
    case ROLLOUT_CANARY:
    case ROLLOUT_ROLLING:
        return "RELOADING";
    case ROLLOUT_ROLLING_BACK:
        return "ROLLING_BACK";
    }
    unsigned ready = program_count_ready(program), expected = program_expected(program);
    if (expected == 0)
        return describe_none(program);
    if (ready >= expected)
        return "READY";
    if (ready > 0)
        return "PARTIAL";
    return is_given_up(program) ? "FATAL" : "STARTING";
}

/* Left out where nothing was lost: most programs' output is not written by us at all. */
static void add_output(json_t *view, const struct master *master, const struct program *program)
{
    struct output_totals totals = program->output;
    logging_add_totals(master->logging, program->name, &totals);
    if (!view || (totals.dropped_lines == 0 && totals.dropped == 0 && totals.lost == 0))
        return;
    (void)json_object_set_new(view, "output",
                              json_pack("{s:I, s:I, s:I}", "dropped_lines",
                                        (json_int_t)totals.dropped_lines, "dropped_bytes",
                                        (json_int_t)totals.dropped, "lost_bytes",
                                        (json_int_t)totals.lost));
}

static json_t *view_program(const struct master *master, const struct program *program)
{
    json_t *view = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:o}", "name", program->name, "state",
        program_state(master, program), "generation", (json_int_t)program->committed->number,
        "workers", (json_int_t)program_wanted(program), "ready",
        (json_int_t)program_count_ready(program), "slots", view_slots(program));
    add_output(view, master, program);
    CLEANUP_FREE char *health = program_health_text(program);
    if (view && health)
        (void)json_object_set_new(view, "health", json_string(health));
    char **groups = program_config(program)->groups;
    json_t *list = view && groups ? json_array() : NULL;
    STRV_FOREACH (group, list ? groups : NULL)
        (void)json_array_append_new(list, json_string(*group));
    if (list)
        (void)json_object_set_new(view, "groups", list);
    const char *awaited = jobs_awaited_by(master, program->name);
    if (view && awaited)
        (void)json_object_set_new(view, "waits_for", json_string(awaited));
    return view;
}

static json_t *view_programs(const struct master *master)
{
    json_t *programs = json_array();
    for (size_t i = 0; i < master->n_programs; i++)
        (void)json_array_append_new(programs, view_program(master, master->programs[i]));
    return programs;
}

static json_t *view_listeners(const struct master *master)
{
    json_t *listeners = json_array();
    struct listener *const *all = master->release.listeners;
    for (size_t i = 0; all && all[i]; i++)
        for (size_t j = 0; j < all[i]->n_sockets; j++)
            (void)json_array_append_new(listeners, listener_view(all[i], all[i]->sockets[j]));
    return listeners;
}

/* The reload that runs, else the newest one that ended. */
static json_t *view_reload(const struct master *master)
{
    const struct reload *reload = &master->reload;
    if (reload->running.id != 0)
        return json_pack("{s:I, s:s, s:s*}", "id", (json_int_t)reload->running.id, "state",
                         reload_state_to_string(reload->state), "reason", reload->reason);
    if (reload->candidate.request.id != 0)
        return json_pack("{s:I, s:s}", "id", (json_int_t)reload->candidate.request.id, "state",
                         reload_state_to_string(RELOAD_CHECKING));
    const struct reload_record *record = reload_newest(reload);
    if (!record)
        return json_pack("{s:i, s:s}", "id", 0, "state", "none");
    return json_pack("{s:I, s:s, s:s, s:s*}", "id", (json_int_t)record->request.id, "state",
                     "ended", "result", reload_result_to_string(record->result), "reason",
                     record->reason);
}

/* Each bucket with all before it, as histograms are told to monitoring. */
static json_t *view_loop_delays(const struct loop_delay *delay)
{
    json_t *list = json_array();
    uint64_t count = 0;
    for (size_t i = 0; i < LOOP_DELAY_BUCKETS; i++) {
        uint64_t bound = loop_delay_bound(i);
        count += delay->counts[i];
        json_t *most = bound == UINT64_MAX ? NULL : json_integer((json_int_t)bound);
        (void)json_array_append_new(
            list, json_pack("{s:o*, s:I}", "most_usec", most, "count", (json_int_t)count));
    }
    return list;
}

/* Processes that workers have left behind, and that nobody ends. NULL: there are none. */
static json_t *view_strays(const struct master *master)
{
    size_t n = 0;
    const struct reaper_left *left = reaper_left(master->reaper, &n);
    json_t *view = n > 0 ? json_array() : NULL;
    for (size_t i = 0; view && i < n; i++)
        (void)json_array_append_new(view,
                                    json_pack("{s:I, s:s, s:s}", "pid", (json_int_t)left[i].pid,
                                              "process", left[i].process, "worker", left[i].name));
    return view;
}

/* Nothing of one that was never needed. */
static void add_helper(json_t *self, const char *name, const struct helper *helper)
{
    if (self && (helper->pid > 0 || helper->deaths > 0))
        (void)json_object_set_new(self, name,
                                  json_pack("{s:I, s:I}", "pid", (json_int_t)helper->pid, "died",
                                            (json_int_t)helper->deaths));
}

/* NULL: there is none, and none is wanted. */
static json_t *view_gateway(const struct master *master)
{
    const struct gateway *gateway = master->gateway;
    const struct config_gateway *section = &master->release.config->gateway;
    if (!gateway || (!section->is_on && !gateway->program))
        return NULL;
    if (gateway->program)
        section = &gateway->current.config->gateway;
    CLEANUP_FREE char *address = address_to_text(&section->address);
    json_t *program = gateway->program ? view_program(master, gateway->program) : NULL;
    const char *state = json_string_value(json_object_get(program, "state"));
    CLEANUP_FREE char *copy = strdup(state ? state : "FAILED");
    return json_pack("{s:s*, s:s*, s:s*, s:o*}", "address", address, "state", copy, "reason",
                     gateway->failure, "program", program);
}

json_t *master_view_status(const struct master *master)
{
    uint64_t now = clock_monotonic_usec();
    json_t *self = json_pack(
        "{s:I, s:s, s:s, s:I, s:I, s:I, s:o, s:o}", "pid", (json_int_t)getpid(), "version",
        RELOADER_VERSION, "state", master_state_to_string(master_get_state(master)), "uptime_usec",
        (json_int_t)(now - master->started_usec), "loop_delay",
        (json_int_t)loop_delay_longest(&master->loop_delay, now), "loop_delay_sum",
        (json_int_t)master->loop_delay.sum_usec, "loop_delays",
        view_loop_delays(&master->loop_delay), "reloads", reload_counts_to_json(&master->reload));
    add_helper(self, "prober", master->probing->helper);
    add_helper(self, "logger", master->logging->helper);
    return json_pack("{s:o, s:o, s:o, s:o, s:o*, s:o*}", "master", self, "reload",
                     view_reload(master), "programs", view_programs(master), "listeners",
                     view_listeners(master), "strays", view_strays(master), "gateway",
                     view_gateway(master));
}

static json_t *op_status(void *userdata)
{
    return master_view_status(userdata);
}

static struct reload_wish make_wish(const struct control_reload *reload)
{
    return (struct reload_wish){.kind = reload->undo ? RELOAD_UNDO : RELOAD_READ,
                                .changed_only = reload->changed_only,
                                .programs = reload->programs};
}

/* The gateway asks for others, and only the gateway knows whom. */
static struct reload_cause make_cause(const struct control_peer *peer)
{
    return (struct reload_cause){
        .pid = peer->pid, .uid = peer->uid, .over_http = peer->role == CONTROL_ROLE_GATEWAY};
}

static int op_reload(const struct control_reload *reload, const struct control_peer *peer,
                     void *userdata, uint64_t *ret_id)
{
    const struct reload_cause cause = make_cause(peer);
    const struct reload_wish wish = make_wish(reload);
    return master_reload(userdata, &wish, &cause, ret_id);
}

static json_t *op_plan(const struct control_reload *reload, void *userdata)
{
    const struct reload_wish wish = make_wish(reload);
    return reload_plan(userdata, &wish);
}

static json_t *op_history(void *userdata)
{
    const struct master *master = userdata;
    return json_pack("{s:o}", "reloads", reload_history_to_json(&master->reload));
}

static json_t *op_reload_result(uint64_t id, void *userdata)
{
    const struct master *master = userdata;
    const struct reload_record *record = reload_find(&master->reload, id);
    return record ? reload_record_to_json(record) : NULL;
}

static int op_scale(const char *program, bool relative, int64_t workers,
                    const struct control_peer *peer, void *userdata, uint64_t *ret_id)
{
    const struct reload_cause cause = make_cause(peer);
    const struct scale_wish wish = {.program = program, .relative = relative, .workers = workers};
    return master_scale(userdata, &wish, &cause, ret_id);
}

static int op_job(const struct control_job *job, const struct control_peer *peer, void *userdata,
                  uint64_t *ret_id, const char **ret_name)
{
    static const enum job_verb verbs[] = {
        [CONTROL_START] = JOB_START, [CONTROL_STOP] = JOB_STOP, [CONTROL_RESTART] = JOB_RESTART};
    const struct reload_cause cause = make_cause(peer);
    const struct job_wish wish = {
        .verb = verbs[job->verb], .force = job->force, .names = job->names, .cause = &cause};
    return job_new(userdata, &wish, ret_id, ret_name);
}

static int op_why(char *const *names, bool all, void *userdata, uint64_t *ret_id, json_t **ret,
                  const char **ret_name)
{
    const struct why_wish wish = {.names = names, .all = all};
    return why_ask(userdata, &wish, ret_id, ret, ret_name);
}

static void op_forget(uint64_t id, void *userdata)
{
    why_forget(userdata, id);
}

static void op_shutdown(bool force, void *userdata)
{
    master_shutdown(userdata, force);
}

const struct control_ops master_control_ops = {
    .status = op_status,
    .reload = op_reload,
    .scale = op_scale,
    .plan = op_plan,
    .job = op_job,
    .send = send_view,
    .logs = logs_view,
    .unfollow = logs_unfollow,
    .why = op_why,
    .forget = op_forget,
    .attach = attach_view,
    .history = op_history,
    .reload_result = op_reload_result,
    .shutdown = op_shutdown,
    .signal = signal_view,
    .sockets = listener_view_all,
};
