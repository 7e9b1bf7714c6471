#include "master/programs.h"

#include "base/log.h"
#include "master/listener-use.h"
#include "master/logging.h"
#include "master/master.h"
#include "master/sockets.h"
#include "process/pidfd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What programs report */

static void on_program_changed(struct program *program, void *userdata)
{
    program->dirty = true;
    master_wake(userdata);
}

/* Did it just die, and nobody had told it to leave, nor had it done its work? */
static bool has_crashed(const struct worker *worker)
{
    if (worker->state != WORKER_STOPPING || !worker->exited || worker->asked_to_leave)
        return false;
    return worker->exit.si_code != CLD_EXITED ||
           !config_expects_exit(worker->generation->program, worker->exit.si_status);
}

/* Which reload it is that a worker has to leave for, if it is one. */
static void mark_leave(const struct master *master, const struct program *program,
                       struct worker *worker, enum worker_state from)
{
    bool begins = from < WORKER_DRAINING && worker->state >= WORKER_DRAINING;
    if (begins && worker->asked_to_leave && !worker->worn &&
        (program->phase != ROLLOUT_IDLE || program->removed))
        worker->leave.reload = master->reload.running.id;
}

static void on_worker_changed(struct program *program, struct worker *worker,
                              enum worker_state from, const char *reason, void *userdata)
{
    struct master *master = userdata;
    bool started = worker->state == WORKER_STARTING;
    char exit_text[PROCESS_EXIT_TEXT_SIZE];
    mark_leave(master, program, worker, from);
    if (worker->state != WORKER_STARTING)
        master_restore_listeners(program, worker);
    if (!event_bus_is_heard(&master->events))
        return;
    event_bus_publish(
        &master->events, EVENT_WORKER,
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s*, s:s*, s:o*}", "program", program->name,
                  "name", worker->name, "slot", (json_int_t)worker->slot, "pid",
                  (json_int_t)worker->pid, "generation", (json_int_t)worker->generation->number,
                  "old", started ? "NONE" : worker_state_to_string(from), "new",
                  worker_state_to_string(worker->state), "reason", reason, "exit",
                  worker->exited ? process_exit_to_text(&worker->exit, exit_text) : NULL, "crashed",
                  has_crashed(worker) ? json_true() : NULL));
}

static void on_worker_health(struct program *program, struct worker *worker, void *userdata)
{
    struct master *master = userdata;
    if (!event_bus_is_heard(&master->events))
        return;
    const char *state = worker_state_to_string(worker->state);
    event_bus_publish(&master->events, EVENT_WORKER,
                      json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s*}", "program",
                                program->name, "name", worker->name, "slot",
                                (json_int_t)worker->slot, "pid", (json_int_t)worker->pid,
                                "generation", (json_int_t)worker->generation->number, "old", state,
                                "new", state, "health", health_to_string(worker_health(worker)),
                                "reason", worker->health.text));
}

static void on_worker_message(struct program *program, struct worker *worker, json_t *value,
                              void *userdata)
{
    struct master *master = userdata;
    if (!event_bus_is_heard(&master->events))
        return;
    event_bus_publish(&master->events, EVENT_MESSAGE,
                      json_pack("{s:s, s:s, s:I, s:I, s:O}", "program", program->name, "name",
                                worker->name, "slot", (json_int_t)worker->slot, "pid",
                                (json_int_t)worker->pid, "value", value));
}

static bool on_slot_queue(struct program *program, unsigned slot, unsigned *ret_waiting,
                          void *userdata)
{
    return master_slot_queue(userdata, program, slot, ret_waiting);
}

/* Where the master is there for this program alone, as in a container, whoever started it is to know. */
static void on_slot_fatal(struct slot *slot, int status, const char *why, void *userdata)
{
    struct master *master = userdata;
    const struct program *program = slot->program;
    event_bus_publish(&master->events, EVENT_WORKER,
                      json_pack("{s:s, s:I, s:s, s:s, s:s}", "program", program->name, "slot",
                                (json_int_t)slot->number, "old", "NONE", "new", "FATAL", "reason",
                                why));
    if (!program_config(program)->exit_on_fatal)
        return;
    log_about(program_subject(program), LOG_LEVEL_ERROR, "exit_on_fatal: leaving");
    master->exit_code = status > 0 ? status : EXIT_FAILURE;
    master_shutdown(master, false);
}

static const struct program_ops program_ops = {
    .changed = on_program_changed,
    .worker_changed = on_worker_changed,
    .worker_message = on_worker_message,
    .worker_health = on_worker_health,
    .fatal = on_slot_fatal,
    .slot_queue = on_slot_queue,
};

/* Making them */

struct program_params master_program_params(struct master *master, struct generation *generation)
{
    return (struct program_params){
        .event = master->event,
        .reaper = master->reaper,
        .generation = generation,
        .notify_directory = master->notify_directory,
        .nofile = &master->nofile,
        .output = logging_sink(master->logging),
        .probes = probing_sink(master->probing),
        .next_worker_id = &master->next_worker_id,
        .starts_left = &master->starts_left,
        .ops = &program_ops,
        .userdata = master,
    };
}

int master_reserve_programs(struct master *master, size_t n)
{
    struct program **larger = reallocarray(master->programs, master->n_programs + n + 1,
                                           sizeof(struct program *));
    if (!larger)
        return -ENOMEM;
    master->programs = larger;
    return 0;
}

void master_take_program(struct master *master, struct program *program)
{
    master->programs[master->n_programs++] = program;
}

static int add_program(struct master *master, const struct config_program *config, char **ret_error)
{
    CLEANUP(generation_unrefp) struct generation *generation = NULL;
    int r = generation_new(master->release.config, config, 1, NULL, master->options.environment,
                           &generation, ret_error);
    if (r == 0)
        r = sockets_hand(&master->release, config, generation);
    if (r < 0)
        return r;
    const struct program_params params = master_program_params(master, generation);
    struct program *program = NULL;
    r = program_new(&params, &program);
    if (r == 0)
        master_take_program(master, program);
    return r;
}

int master_add_programs(struct master *master, char **ret_error)
{
    const struct config *config = master->release.config;
    int r = master_reserve_programs(master, config->n_programs);
    for (size_t i = 0; r == 0 && i < config->n_programs; i++)
        r = add_program(master, config->programs[i], ret_error);
    if (r == 0)
        master_sort_programs(master);
    return r;
}

int master_make_program(struct master *master, struct config *config,
                        const struct config_program *program, struct program **ret)
{
    CLEANUP(generation_unrefp) struct generation *absent = NULL;
    int r = generation_new_absent(config, program, &absent);
    if (r < 0)
        return r;
    const struct program_params params = master_program_params(master, absent);
    return program_new(&params, ret);
}

struct program *master_find_program(const struct master *master, const char *name)
{
    struct program *found = NULL;
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        if (!program->removed && strcmp(program->name, name) == 0 && (!found || found->is_new))
            found = program;
    }
    return found;
}

void master_free_removed_programs(struct master *master)
{
    size_t kept = 0;
    for (size_t i = 0; i < master->n_programs; i++) {
        struct program *program = master->programs[i];
        if (!program->removed || !program_is_empty(program)) {
            master->programs[kept++] = program;
            continue;
        }
        if (program->committed->number > 0)
            log_about(program_subject(program), LOG_LEVEL_INFO, "removed");
        (void)program_free(program);
    }
    master->n_programs = kept;
}

/* Order */

static size_t place_in(const struct config *config, const char *name)
{
    size_t place = 0;
    while (place < config->n_programs && strcmp(config->programs[place]->name, name) != 0)
        place++;
    return place;
}

static int compare_priority(const void *a, const void *b, void *userdata)
{
    const struct program *left = *(struct program *const *)a, *right = *(struct program *const *)b;
    const struct config_program *l = program_config(left), *r = program_config(right);
    if (l->priority != r->priority)
        return l->priority < r->priority ? -1 : 1;
    size_t i = place_in(userdata, l->name), j = place_in(userdata, r->name);
    return i != j ? (i < j ? -1 : 1) : 0;
}

void master_sort_programs(struct master *master)
{
    if (master->n_programs > 1)
        qsort_r(master->programs, master->n_programs, sizeof(struct program *), compare_priority,
                master->release.config);
}
